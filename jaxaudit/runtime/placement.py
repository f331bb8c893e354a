"""On what, and in what portions, a program works: what changes no result beyond rounding."""

from __future__ import annotations

import dataclasses
import platform
from typing import Any

import jax
from jax.sharding import Mesh

from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.parallel import Parallelism
from jaxaudit.runtime.processes import ALONE, Process


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where batches run.

    Attributes:
      batch_size: rows per step over all devices.
      num_devices: devices of this process; 0 takes all.
      parallelism: how rows are spread over them, "jit" or "pmap".
      process: which of those that share the work this is.

    Raises:
      InputError: if a number is out of range.
    """

    batch_size: int = 64
    num_devices: int = 0
    parallelism: Parallelism = "jit"
    process: Process = ALONE

    def __post_init__(self):
        for name, least in (("batch_size", 1), ("num_devices", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} is below {least}.")

    def mesh(self) -> Mesh:
        """The mesh over these devices.

        Raises:
          InputError: if this process does not have that many.
        """
        return make_mesh(self.num_devices or None)

    def record(self) -> dict[str, Any]:
        """The machine and how it is used, JSON-able: what a record of a run says beside its results."""
        devices = jax.local_devices()
        return {
            "platform": devices[0].platform,
            "device": devices[0].device_kind,
            "num_devices": self.num_devices or len(devices),
            "num_processes": self.process.count,
            "parallelism": self.parallelism,
            "batch_size": self.batch_size,
            "python": platform.python_version(),
        }
