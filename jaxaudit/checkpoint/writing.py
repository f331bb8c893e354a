"""Parameters to an Orbax checkpoint, a few at a time: saving needs the memory of a few, not of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import type_handlers

from jaxaudit.targets import Params

_GROUP = 2**28
"""Bytes that are written side by side. What is written at once shares a file; one a parameter would be many."""


def write(folder: Path, params: Params, *, each: Callable[[str, np.ndarray], None]) -> None:
    """Writes an Orbax checkpoint.

    Args:
      folder: where to; it does not exist.
      params: nested dict of arrays, or of whatever has shape, dtype and nbytes and `np.asarray` reads. Each is
        read once and let go when it is written.
      each: is called with path ("/" between levels) and values of every parameter, in the order of the paths.

    Raises:
      OSError: if the disk refuses.
    """
    registry = type_handlers.create_type_handler_registry(
        (_Parameter, _InGroups(each)),
        (jax.Array, type_handlers.ArrayHandler()),  # no parameter is one; Orbax warns where it is missing
    )
    handler = ocp.PyTreeCheckpointHandler(type_handler_registry=registry)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(folder, jax.tree.map(_Parameter, params))


@dataclasses.dataclass(frozen=True, eq=False)
class _Parameter:
    """A parameter that has not been read."""

    leaf: Any

    @property
    def nbytes(self) -> int:
        return self.leaf.nbytes


class _InGroups(type_handlers.NumpyHandler):
    """Reads and writes parameters in groups, each when the one before is on disk."""

    def __init__(self, each: Callable[[str, np.ndarray], None]):
        super().__init__(deepcopy_host_arrays=False)  # nobody changes what is being written
        self._each = each

    async def serialize(
        self,
        values: Sequence[_Parameter],
        infos: Sequence[type_handlers.ParamInfo],
        args: Sequence[type_handlers.SaveArgs] | None = None,
    ) -> Sequence[Any]:
        args = args or [type_handlers.SaveArgs()] * len(values)
        paths = ["/".join(str(key.key) for key in info.keypath) for info in infos]
        for group in _groups(sorted(range(len(paths)), key=paths.__getitem__), values):
            await self._write(*([each[i] for i in group] for each in (paths, values, infos, args)))
        return []

    async def _write(
        self,
        paths: Sequence[str],
        values: Sequence[_Parameter],
        infos: Sequence[type_handlers.ParamInfo],
        args: Sequence[type_handlers.SaveArgs],
    ) -> None:
        arrays = [np.asarray(value.leaf, order="C") for value in values]
        for path, array in zip(paths, arrays, strict=True):
            self._each(path, array)
        for commit in await super().serialize(arrays, infos, args):
            commit.result()


def _groups(order: Iterable[int], values: Sequence[_Parameter]) -> Iterator[list[int]]:
    """The indexes in their order, in lists of at most `_GROUP` bytes or one parameter."""
    group, size = [], 0
    for i in order:
        if group and size + values[i].nbytes > _GROUP:
            yield group
            group, size = [], 0
        group.append(i)
        size += values[i].nbytes
    if group:
        yield group
