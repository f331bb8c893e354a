"""The model families: what turns parameters into a target; `Family` says what one is."""

from jaxaudit.errors import unknown_name
from jaxaudit.families import dimr, dit, dit_moe, ldm, lfm, llamagen, mar, mdt, rar, sd, sit, uvit, var
from jaxaudit.families.contract import Family, Variant

FAMILIES: dict[str, Family] = {
    "dimr": dimr,
    "dit": dit,
    "dit_moe": dit_moe,
    "ldm": ldm,
    "lfm": lfm,
    "llamagen": llamagen,
    "mar": mar,
    "mdt": mdt,
    "rar": rar,
    "sd": sd,
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
