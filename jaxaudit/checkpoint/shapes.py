"""A target without its weights: for all that needs shapes only."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxaudit.checkpoint.finding import builtin_names, released
from jaxaudit.checkpoint.load import read_record
from jaxaudit.checkpoint.parameters import cast
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import get_family
from jaxaudit.targets import Target


def abstract_target(name: str, *, dtype: DTypeLike = jnp.float32, platform: str | None = None) -> Target:
    """A target whose parameters are `jax.ShapeDtypeStruct`s: it can be traced and compiled, and not run.

    Args:
      name: as of `load_target`; or a released model, whose weights need not be here.
      dtype: of the floating parameters and of the computation.
      platform: that it will be compiled for, "cpu", "gpu" or "tpu"; None: this process's.

    Raises:
      InputError: if there is no such target, with the nearest names, or its record is damaged.
    """
    dtype, variants = jnp.dtype(dtype), released()
    if name in variants and name not in builtin_names():
        family, variant = variants[name]
        config, preprocessing = variant.config, variant.preprocessing
    else:
        record = read_record(name)
        family, config = record["family"], record["config"]
        preprocessing = Preprocessing(**record["preprocessing"])
    params = cast(get_family(family).abstract_params(config), dtype, None)
    return get_family(family).build_target(
        name, config, params, preprocessing, {}, dtype=dtype, platform=platform
    )
