"""The devices of this process as a mesh of one axis, over which the rows of a batch are spread.

Audits are data parallel: parameters are replicated, rows are spread over the devices of this process, and
no row needs another. With several processes (hosts) each works on its own rows and shares nothing but the
evidence folder, so no collective ever waits for a slow host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxaudit.errors import InputError

ROWS_AXIS = "rows"
"""The axis of every mesh here."""


def make_mesh(num_devices: int | None = None) -> Mesh:
    """A one-dimensional mesh over the first `num_devices` devices of this process (None: all of them).

    Raises:
      InputError: if this process does not have that many devices.
    """
    devices = jax.local_devices()
    if num_devices is not None and not 1 <= num_devices <= len(devices):
        raise InputError(f"num_devices={num_devices}, but this process has {len(devices)} device(s).")
    return _mesh(devices[:num_devices])


def mesh_of(params: Any) -> Mesh:
    """The mesh over the devices that hold `params`."""
    held_by = jax.tree.leaves(params)[0].sharding.device_set
    return _mesh(sorted(held_by, key=lambda device: device.id))


def _mesh(devices: Sequence[Any]) -> Mesh:
    return jax.make_mesh((len(devices),), (ROWS_AXIS,), devices=devices, axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that keeps a whole copy on every device of `mesh`: where parameters are restored to."""
    return NamedSharding(mesh, PartitionSpec())


def spread(mesh: Mesh) -> NamedSharding:
    """The sharding that spreads rows, the first axis, over the devices of `mesh`."""
    return NamedSharding(mesh, PartitionSpec(ROWS_AXIS))
