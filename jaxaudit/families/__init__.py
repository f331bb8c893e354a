"""The model families: what turns parameters into a target.

A family is a module with

    VARIANTS: {name: Variant}              its released targets
    abstract_params(config) -> Params      shapes and dtypes, {"generator": ..., "tokenizer": ...}
    build_target(name, config, params, preprocessing, provenance, *, dtype=float32) -> Target

where `config` is a plain JSON-able dict {"generator": {...}, "tokenizer": {...}}; a diffusion model in pixel
space has "tokenizer": None and no parameters of that name.
"""

from types import ModuleType

from jaxaudit.errors import unknown_name
from jaxaudit.families import dit, mar, rar, uvit, var

FAMILIES: dict[str, ModuleType] = {"dit": dit, "mar": mar, "rar": rar, "uvit": uvit, "var": var}
"""Every family by name."""


def get_family(name: str) -> ModuleType:
    """The family of that name.

    Raises:
      InputError: if there is none, with the nearest names.
    """
    if name not in FAMILIES:
        raise unknown_name("family", name, FAMILIES)
    return FAMILIES[name]
