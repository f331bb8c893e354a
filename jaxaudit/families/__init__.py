"""The model families: what turns parameters into a target; `Family` says what one is."""

from jaxaudit.errors import unknown_name
from jaxaudit.families import dit, dit_moe, lfm, mar, rar, sit, uvit, var
from jaxaudit.families.contract import Family, Variant

FAMILIES: dict[str, Family] = {
    "dit": dit,
    "dit_moe": dit_moe,
    "lfm": lfm,
    "mar": mar,
    "rar": rar,
    "sit": sit,
    "uvit": uvit,
    "var": var,
}
"""Every family by name."""


def get_family(name: str) -> Family:
    """The family of that name.

    Raises:
      InputError: if there is none, with the nearest names.
    """
    if name not in FAMILIES:
        raise unknown_name("family", name, FAMILIES)
    return FAMILIES[name]


__all__ = ["FAMILIES", "Family", "Variant", "get_family"]
