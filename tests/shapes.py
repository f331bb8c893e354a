"""The type checker of the import hook, see `tests/conftest.py`."""

import beartype

# As PEP 484 has it, an int serves where a float is asked for.
check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
