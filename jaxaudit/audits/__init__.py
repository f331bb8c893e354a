"""One answer each: from a target, sources and a request to a result, by way of evidence on disk.

collect     the scores of every picture            assess     membership and dataset inference from them
identify    an owner's question                    extract    training pictures, regenerated
localize    the units that answer to one picture   localized  with unseen pictures beside, as results
mitigate    what a changed target still gives away tested     what of it results say
studies     how well the method itself does
"""
