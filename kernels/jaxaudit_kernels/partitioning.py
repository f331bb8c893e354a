"""Whether the compiler splits what is traced over devices: it cannot look into hand-written kernels."""

from __future__ import annotations

import jax
from jax.sharding import AxisType


def left_to_compiler() -> bool:
    """Whether an axis of several devices of the mesh in context is the compiler's to split.

    Inside `jax.shard_map` over all axes none is, and kernels work on the rows of one device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    return any(
        size > 1 and kind != AxisType.Manual
        for size, kind in zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    )
