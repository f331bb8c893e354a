"""On what, and in what portions, a program works: what changes no result beyond rounding."""

from __future__ import annotations

import dataclasses
import platform
from typing import Any, Literal

from jax.sharding import Mesh

from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import MODEL_AXIS, make_mesh
from jaxaudit.runtime.parallel import Parallelism
from jaxaudit.runtime.partition import Rules, bytes_per_device
from jaxaudit.runtime.processes import ALONE, Process

_SHARE = 0.6  # of a device's memory that parameters may take; the rest is for what is computed from them


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where batches run.

    Attributes:
      batch_size: rows per step over all devices.
      num_devices: devices of this process; 0 takes all.
      parallelism: how rows are spread over them, "jit" or "pmap".
      shard_params: over how many devices each parameter is split, a divisor of their number; "auto": over as
        few as leave room for the work, one where the memory of a device is not known (CPUs).
      process: which of those that share the work this is.

    Raises:
      InputError: if a number is out of range.
    """

    batch_size: int = 64
    num_devices: int = 0
    parallelism: Parallelism = "jit"
    shard_params: int | Literal["auto"] = "auto"
    process: Process = ALONE

    def __post_init__(self):
        for name, least in (("batch_size", 1), ("num_devices", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} is below {least}.")
        if self.shard_params != "auto" and self.shard_params < 1:
            raise InputError(f"shard_params={self.shard_params} is neither 'auto' nor a number of devices.")

    def mesh(self, params: Any, rules: Rules) -> Mesh:
        """The mesh over these devices for a target.

        Args:
          params: the target's, or their shapes.
          rules: how they are split.

        Raises:
          InputError: if this process does not have that many devices, they cannot be divided as asked, or the
            parameters do not fit their memory.
        """
        mesh = make_mesh(self.num_devices or None)
        split = self._split(params, rules, mesh) if self.shard_params == "auto" else self.shard_params
        return make_mesh(mesh.size, split=split)

    def _split(self, params: Any, rules: Rules, mesh: Mesh) -> int:
        memory = _memory(mesh.devices.flat[0])
        if memory is None or self.parallelism == "pmap":
            return 1
        return smallest_split(params, rules, mesh.size, memory)

    def record(self, mesh: Mesh) -> dict[str, Any]:
        """The machine and how it is used, JSON-able: what a record of a run says beside its results.

        `mesh` is that of the run.
        """
        devices = list(mesh.devices.flat)
        return {
            "platform": devices[0].platform,
            "device": devices[0].device_kind,
            "num_devices": len(devices),
            "num_processes": self.process.count,
            "parallelism": self.parallelism,
            "shard_params": mesh.shape[MODEL_AXIS],
            "batch_size": self.batch_size,
            "python": platform.python_version(),
        }


def smallest_split(params: Any, rules: Rules, num_devices: int, memory: float) -> int:
    """Over how many devices each parameter is split if it should be as few as leave room for the work.

    Args:
      params: a target's, or their shapes.
      rules: how they are split.
      num_devices: that there are; the answer divides it.
      memory: bytes of each.

    Raises:
      InputError: if they do not fit however they are split.
    """
    splits = [split for split in range(1, num_devices + 1) if num_devices % split == 0]
    needed = {split: bytes_per_device(params, rules, split) for split in splits}
    best = min(splits, key=lambda split: needed[split])
    if needed[best] > memory:
        raise InputError(
            f"Split over {best} of {num_devices} device(s) the parameters need {needed[best] / 1e9:.1f} GB "
            f"on each, which has {memory / 1e9:.1f} GB; take more devices, or bfloat16."
        )
    return next((split for split in splits if needed[split] <= _SHARE * memory), best)


def _memory(device: Any) -> int | None:
    """Bytes that JAX may use of the device's memory, None where it does not say."""
    return (device.memory_stats() or {}).get("bytes_limit")
