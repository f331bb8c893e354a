"""Programs over the rows of a batch: spread over devices, compiled once, waited for late.

Axes: B rows of a batch, D devices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import jax
import numpy as np
from einops import rearrange
from jax.sharding import Mesh, PartitionSpec

from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import MODEL_AXIS, ROWS_AXIS, replicated, spread

Parallelism = Literal["jit", "pmap"]
Item = TypeVar("Item")

_PROGRAMS_KEPT = 64


class Pending:
    """Rows that the devices are still computing; `result` waits for them."""

    def __init__(self, outputs: Any, num_rows: int, merge_devices: bool):
        self._outputs, self._num_rows, self._merge_devices = outputs, num_rows, merge_devices

    def result(self) -> Any:
        """The outputs as NumPy arrays [B, ...], without the rows that only filled the batch."""
        return jax.tree.map(self._rows, jax.device_get(self._outputs))

    def _rows(self, array: np.ndarray) -> np.ndarray:
        if self._merge_devices:
            array = rearrange(array, "d b ... -> (d b) ...")
        return array[: self._num_rows]


@functools.lru_cache(maxsize=_PROGRAMS_KEPT)
def data_parallel(
    function: Callable[[Any, Any], Any], mesh: Mesh, *, parallelism: Parallelism = "jit"
) -> Callable[..., Pending]:
    """Compiles `function(params, batch)` so that the rows of `batch` are spread over the devices of `mesh`.

    `function` is compiled for the rows of one device (`jax.shard_map`), so what it calls need not be
    partitioned by the compiler: kernels that it cannot look into work there as on a single device. Where the
    mesh splits parameters, it is compiled for all rows, and the compiler partitions it: a loop whose length
    depends on the rows then ends everywhere at once, as it must where devices exchange pieces inside.

    Equal functions on equal meshes share their compiled program, so a function that is a value (a frozen
    dataclass) is compiled once, however often it is built.

    Args:
      function: row by row independent: every leaf of `batch` and of the output is [B, ...], of which it is
        given those of a device, or all. Hashable.
      mesh: from `make_mesh`.
      parallelism: "jit" (jit with NamedSharding) or "pmap"; both give the same numbers.

    Returns:
      `run(params, batch, padded_size) -> Pending`. The batch is filled up to `padded_size` rows, rounded up
      to a multiple of the devices along "rows", by repeating its last row (so that every batch of an audit
      has one shape and is compiled once); the filling never comes back. `run` returns before the devices have
      finished.

    Raises:
      InputError: for another `parallelism`, or "pmap" on a mesh that splits parameters.
    """
    num_devices = mesh.shape[ROWS_AXIS]
    program = _program(function, mesh, parallelism)

    def run(params: Any, batch: Any, padded_size: int) -> Pending:
        num_rows = len(jax.tree.leaves(batch)[0])
        size = -(-max(padded_size, num_rows) // num_devices) * num_devices
        batch = jax.tree.map(lambda array: _fill(np.asarray(array), size), batch)
        if parallelism == "pmap":
            batch = jax.tree.map(lambda array: rearrange(array, "(d b) ... -> d b ...", d=num_devices), batch)
        return Pending(program(params, batch), num_rows, merge_devices=parallelism == "pmap")

    return run


def lower_rows(
    function: Callable[[Any, Any], Any],
    params: Any,
    batch: Any,
    mesh: Mesh,
    *,
    parallelism: Parallelism = "jit",
    platform: str | None = None,
) -> jax.stages.Lowered:
    """The program that `data_parallel` would run for these shapes, to be compiled.

    Args:
      function, mesh, parallelism: as `data_parallel`; this machine need not have the devices.
      params, batch: as what it returns takes them, or `jax.ShapeDtypeStruct`s; where the mesh
        splits parameters, they say their `sharding`.
      platform: "tpu", "cuda" or "cpu", to lower for another platform than that of `mesh`, with "jit".
    """
    num_devices = mesh.shape[ROWS_AXIS]

    def shape(array: Any) -> jax.ShapeDtypeStruct:
        rows, *others = array.shape
        rows = -(-rows // num_devices) * num_devices
        leading = (num_devices, rows // num_devices) if parallelism == "pmap" else (rows,)
        return jax.ShapeDtypeStruct((*leading, *others), array.dtype)

    program, shapes = _program(function, mesh, parallelism), jax.tree.map(shape, batch)
    if platform is None:
        return program.lower(params, shapes)
    return program.trace(params, shapes).lower(lowering_platforms=(platform,))


def _program(function: Callable[[Any, Any], Any], mesh: Mesh, parallelism: Parallelism) -> Any:
    """The jitted function of (params, batch)."""
    if parallelism == "pmap":
        if mesh.shape[MODEL_AXIS] > 1:
            raise InputError("parallelism='pmap' cannot split parameters over devices; use 'jit'.")
        return jax.pmap(function, in_axes=(None, 0), devices=list(mesh.devices.flat))
    if parallelism != "jit":
        raise InputError(f"parallelism={parallelism!r} is unknown; use 'jit' or 'pmap'.")
    if mesh.shape[MODEL_AXIS] > 1:

        def over_mesh(params: Any, batch: Any) -> Any:
            with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):  # what is traced can tell
                return function(params, batch)

        return jax.jit(over_mesh, in_shardings=(None, spread(mesh)), out_shardings=spread(mesh))
    rows = PartitionSpec(ROWS_AXIS)
    of_device = jax.shard_map(
        function, mesh=mesh, in_specs=(PartitionSpec(), rows), out_specs=rows, check_vma=False
    )
    return jax.jit(of_device, in_shardings=(replicated(mesh), spread(mesh)), out_shardings=spread(mesh))


def _fill(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


@runtime_checkable
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
