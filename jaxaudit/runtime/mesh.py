"""The devices of this process as a mesh of two axes: rows of a batch, and pieces of the parameters.

Audits are data parallel: no row needs another, so the rows of a batch are spread over the axis "rows". Along
the axis "model" lie the pieces of every parameter (`jaxaudit.runtime.partition`), and its devices work at the
same rows; it has one device unless a target is too large for that. With several processes (hosts) each works
on its own rows and shares nothing but the evidence folder, so no collective ever waits for a slow host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxaudit.errors import InputError

ROWS_AXIS, MODEL_AXIS = "rows", "model"
"""The axes of every mesh here, both left to the compiler (`AxisType.Auto`)."""


def make_mesh(num_devices: int | None = None, *, split: int = 1) -> Mesh:
    """A mesh over the first `num_devices` devices of this process (None: all of them).

    Args:
      num_devices: of both axes together.
      split: devices along "model", a divisor of `num_devices`.

    Raises:
      InputError: if this process does not have that many devices, or `split` does not divide them.
    """
    devices = jax.local_devices()
    if num_devices is not None and not 1 <= num_devices <= len(devices):
        raise InputError(f"num_devices={num_devices}, but this process has {len(devices)} device(s).")
    return mesh_over(devices[:num_devices], split=split)


def mesh_over(devices: Sequence[Any], *, split: int = 1) -> Mesh:
    """A mesh over these devices, `split` of them along "model".

    Raises:
      InputError: if `split` does not divide their number.
    """
    if split < 1 or len(devices) % split:
        raise InputError(f"Parameters cannot be split {split} ways over {len(devices)} device(s).")
    return jax.make_mesh(
        (len(devices) // split, split),
        (ROWS_AXIS, MODEL_AXIS),
        devices=devices,
        axis_types=(AxisType.Auto, AxisType.Auto),
    )


def mesh_of(params: Any) -> Mesh:
    """The mesh over the devices that hold `params`, the one they were placed on if it is one of these."""
    sharding = jax.tree.leaves(params)[0].sharding
    mesh = getattr(sharding, "mesh", None)
    if mesh is not None and mesh.axis_names == (ROWS_AXIS, MODEL_AXIS):
        return mesh
    return mesh_over(sorted(sharding.device_set, key=lambda device: device.id))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that keeps a whole copy on every device of `mesh`."""
    return NamedSharding(mesh, PartitionSpec())


def spread(mesh: Mesh) -> NamedSharding:
    """The sharding that spreads rows, the first axis, over the devices of `mesh`, alike along "model"."""
    return NamedSharding(mesh, PartitionSpec(ROWS_AXIS))
