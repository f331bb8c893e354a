"""The number of attention heads, where the shapes of a checkpoint keep no trace of it."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from jaxaudit.errors import InputError
from jaxaudit.models.dimr import DiMRConfig
from jaxaudit.models.dit import DiTConfig
from jaxaudit.models.llamagen import LlamaGenConfig
from jaxaudit.models.mar import MARConfig
from jaxaudit.models.uvit import UViTConfig
from jaxaudit.models.variant import ModelVariant

Config = TypeVar(
    "Config",
    DiMRConfig,
    DiTConfig,
    LlamaGenConfig,
    MARConfig,
    UViTConfig,
)


def with_heads(
    config: Config, num_heads: int | None, *, released: Mapping[str, ModelVariant], title: str
) -> Config:
    """`config` with this `num_heads`, or if it is None with those of the released model of the same shape.

    Args:
      config: a network's config, true but for `num_heads`.
      num_heads: what the user says.
      released: the released models of the family.
      title: what people call the network, as in "DiT generator".

    Raises:
      InputError: if nothing is said and no released model has the shape.
    """
    if num_heads is not None:
        return dataclasses.replace(config, num_heads=num_heads)
    for variant in released.values():
        if dataclasses.replace(variant.config, num_heads=config.num_heads) == config:
            return variant.config
    raise InputError(
        f"The shapes of a {title} do not tell its number of attention heads, and they are those of no "
        "released model; say it with --num_heads."
    )
