"""One answer each: from a target, sources and a request to a typed result, by way of evidence on disk.

collect       the scores of every picture                 assess   membership and dataset inference from them
identify      an owner's question                         studies  how well the method itself does
asking        what its answers mean, and asking again     plan     what is fixed before scoring
carry_out     evidence as planned, beside a reference     reference   what that does to the tables
extraction    training pictures, regenerated
schedules     sixteen walks through a diffusion model
localization  the units that answer to one picture
mitigation    what a changed target still gives away
request       what measurements depend on                 tested   what of it results say
one_pass      pictures through a model, once              fill     shards, resumed and shared by processes
benchmark     how fast it is, and what it costs           precision   what bfloat16 changes
"""
