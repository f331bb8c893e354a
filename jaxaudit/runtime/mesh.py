"""Where a batch runs: the devices, how rows are placed on them, and how they come back.

Axes: B rows of a batch, D devices.

Audits are data parallel: parameters are replicated, rows are spread over the devices of this process, and
no row needs another. With several processes (hosts) each works on its own rows and shares nothing but the
evidence folder, so no collective ever waits for a slow host.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxaudit.errors import InputError

Parallelism = Literal["jit", "pmap"]
_AXIS = "data"


def make_mesh(num_devices: int | None = None) -> Mesh:
    """A one-dimensional mesh over the first `num_devices` devices of this process (None: all of them).

    Raises:
      InputError: if this process does not have that many devices.
    """
    devices = jax.local_devices()
    if num_devices is not None and not 1 <= num_devices <= len(devices):
        raise InputError(f"num_devices={num_devices}, but this process has {len(devices)} device(s).")
    devices = devices[:num_devices]
    return jax.make_mesh((len(devices),), (_AXIS,), devices=devices, axis_types=(AxisType.Auto,))


def mesh_of(params: Any) -> Mesh:
    """The mesh over the devices that hold `params`."""
    devices = sorted(jax.tree.leaves(params)[0].sharding.device_set, key=lambda device: device.id)
    return jax.make_mesh((len(devices),), (_AXIS,), devices=devices, axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that keeps a whole copy on every device of `mesh`: where parameters are restored to."""
    return NamedSharding(mesh, PartitionSpec())


Item = TypeVar("Item")


class Result(Protocol):
    """Something the devices are still computing, such as `Pending`."""

    def result(self) -> Any:
        """Waits for it."""


def one_in_flight(items: Iterable[Item], submit: Callable[[Item], Result]) -> Iterator[tuple[Item, Any]]:
    """(item, result of what `submit` started for it), in order.

    The devices are at one item while the next is read and the last is finished.
    """
    waiting: list[tuple[Item, Result]] = []
    for item in items:
        waiting.append((item, submit(item)))
        if len(waiting) > 1:
            first, pending = waiting.pop(0)
            yield first, pending.result()
    for item, pending in waiting:
        yield item, pending.result()


class Pending:
    """Rows that the devices are still computing; `result` waits for them."""

    def __init__(self, outputs: Any, num_rows: int, merge_devices: bool):
        self._outputs, self._num_rows, self._merge_devices = outputs, num_rows, merge_devices

    def result(self) -> Any:
        """The outputs as NumPy arrays [B, ...], without the rows that only filled the batch."""
        return jax.tree.map(self._rows, jax.device_get(self._outputs))

    def _rows(self, array: np.ndarray) -> np.ndarray:
        if self._merge_devices:
            array = array.reshape(-1, *array.shape[2:])
        return array[: self._num_rows]


def data_parallel(
    function: Callable[[Any, Any], Any], mesh: Mesh, *, parallelism: Parallelism = "jit"
) -> Callable[..., Pending]:
    """Compiles `function(params, batch)` so that the rows of `batch` are spread over the devices of `mesh`.

    Args:
      function: row by row independent: every leaf of `batch` and of the output is [B, ...].
      mesh: from `make_mesh`.
      parallelism: "jit" (jit with NamedSharding) or "pmap"; both give the same numbers.

    Returns:
      `run(params, batch, padded_size) -> Pending`. The batch is filled up to `padded_size` rows, rounded up
      to a multiple of the devices, by repeating its last row (so that every batch of an audit has one shape
      and is compiled once); the filling never comes back. `run` returns before the devices have finished.
    """
    num_devices = mesh.size
    if parallelism == "pmap":
        compiled = jax.pmap(function, in_axes=(None, 0), devices=list(mesh.devices.flat))
    elif parallelism == "jit":
        rows = NamedSharding(mesh, PartitionSpec(_AXIS))
        compiled = jax.jit(function, in_shardings=(replicated(mesh), rows), out_shardings=rows)
    else:
        raise InputError(f"parallelism={parallelism!r} is unknown; use 'jit' or 'pmap'.")

    def run(params: Any, batch: Any, padded_size: int) -> Pending:
        num_rows = len(jax.tree.leaves(batch)[0])
        size = -(-max(padded_size, num_rows) // num_devices) * num_devices
        batch = jax.tree.map(lambda array: _fill(np.asarray(array), size), batch)
        if parallelism == "pmap":
            batch = jax.tree.map(lambda array: array.reshape(num_devices, -1, *array.shape[1:]), batch)
        return Pending(compiled(params, batch), num_rows, merge_devices=parallelism == "pmap")

    return run


def _fill(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def initialize_processes(spec: str) -> None:
    """Joins the processes of a multi-host audit.

    Args:
      spec: "" (one process, nothing to do), "auto" (the cluster tells: TPU pods, SLURM, Open MPI), or
        "ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID".

    Raises:
      InputError: if `spec` is none of these.
    """
    if not spec:
        return
    if spec == "auto":
        jax.distributed.initialize()
        return
    fields: Sequence[str] = spec.split(",")
    if len(fields) != 3 or not fields[1].isdigit() or not fields[2].isdigit():
        raise InputError(f"distributed={spec!r} is not 'auto' or 'ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID'.")
    jax.distributed.initialize(fields[0], int(fields[1]), int(fields[2]))


def wait_for_all_processes(label: str) -> None:
    """Returns once every process has called it with the same label."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(label)
