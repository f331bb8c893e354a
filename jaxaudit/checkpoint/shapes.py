"""A target without its weights: for all that needs shapes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxaudit.checkpoint.finding import builtin_names, released
from jaxaudit.checkpoint.load import read_record
from jaxaudit.checkpoint.parameters import cast
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import get_family
from jaxaudit.models.attention_backend import AttentionChoice
from jaxaudit.targets import Target


def abstract_target(
    name: str,
    *,
    dtype: DTypeLike = jnp.float32,
    platform: str | None = None,
    attention: AttentionChoice = "auto",
) -> Target:
    """A target whose parameters are `jax.ShapeDtypeStruct`s: it can be traced and compiled, and not run.

    Args:
      name: as of `load_target`; or a released model, whose weights need not be here.
      dtype: of the floating parameters and of the computation.
      platform: that it will be compiled for, "cpu", "gpu" or "tpu"; None: this process's.
      attention: what computes the generator's attention, as `build_target` takes it.

    Raises:
      InputError: if there is no such target, with the nearest names, its record is damaged, or the attention
        asked for cannot be used.
    """
    family, config, preprocessing = _described(name)
    params = cast(get_family(family).abstract_params(config), jnp.dtype(dtype))
    return get_family(family).build_target(
        name,
        config,
        params,
        preprocessing,
        {},
        dtype=jnp.dtype(dtype),
        platform=platform,
        attention=attention,
    )


def check_known(name: str) -> None:
    """Makes sure that there is a target, or a released model, of that name; quickly.

    Raises:
      InputError: as `abstract_target`.
    """
    _described(name)


def _described(name: str) -> tuple[str, Mapping[str, Any], Preprocessing]:
    """Family, config, preprocessing."""
    variants = released()
    if name in variants and name not in builtin_names():
        family, variant = variants[name]
        return family, variant.config, variant.preprocessing
    record = read_record(name)
    return record["family"], record["config"], Preprocessing(**record["preprocessing"])
