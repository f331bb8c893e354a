"""The programs: flags in, files out; everything they do is in the library.

Installed, this folder is the package `jaxaudit_experiments`, for a package `experiments` could be anybody's,
and `jaxaudit NAME` runs a program of it. In a checkout `python -m experiments.NAME` is the same. For both to
work, the programs import each other relatively.
"""
