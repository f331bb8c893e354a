"""Parameters to an Orbax checkpoint, a few at a time, so that saving takes the memory of a few."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import type_handlers

from jaxaudit.targets import Params

_GROUP = 2**28
"""Bytes that are written side by side: these share files, and one file a parameter would be many."""


def write(folder: Path, params: Params, *, each: Callable[[str, np.ndarray], None]) -> None:
    """Writes an Orbax checkpoint.

    Args:
      folder: where to; it does not exist.
      params: nested dict of arrays, or of whatever has nbytes and `np.asarray` reads. Each is read once, and
        let go when it is written.
      each: is called with path ("/" between levels) and values of every parameter, in the order of the paths.

    Raises:
      OSError: if the disk refuses.
    """
    registry = type_handlers.create_type_handler_registry(
        (_Parameter, _InGroups(each)),
        (jax.Array, type_handlers.ArrayHandler()),  # no parameter is one; Orbax warns where it is missing
    )
    handler = ocp.PyTreeCheckpointHandler(type_handler_registry=registry)
    try:
        with ocp.Checkpointer(handler) as checkpointer:
            checkpointer.save(folder, jax.tree.map_with_path(_parameter, params))
    except ValueError as error:
        if str(error).startswith("RESOURCE_EXHAUSTED"):  # what TensorStore makes of a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


@dataclasses.dataclass(frozen=True, eq=False)
class _Parameter:
    """A parameter that has not been read, and its path."""

    path: str
    leaf: Any


def _parameter(keys: tuple[Any, ...], leaf: Any) -> _Parameter:
    return _Parameter(jax.tree_util.keystr(keys, simple=True, separator="/"), leaf)


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
        entries = sorted(zip(values, infos, args, strict=True), key=lambda entry: entry[0].path)
        for group in _groups(entries):
            await self._write(group)
        return []

    async def _write(self, group: Sequence[_Entry]) -> None:
        values, infos, args = zip(*group, strict=True)
        arrays = [np.asarray(value.leaf, order="C") for value in values]
        for value, array in zip(values, arrays, strict=True):
            self._each(value.path, array)
        commits = []
        for array, info, arg in zip(arrays, infos, args, strict=True):
            # Each alone, so that one that fails leaves the others be.
            commits += await super().serialize([array], [info], [arg]) or ()
        if failures := [error for commit in commits if (error := _failure(commit)) is not None]:
            raise failures[0]


def _failure(commit: Any) -> Exception | None:
    """What a write ended with, when it has ended."""
    try:
        commit.result()
    except Exception as error:
        return error
    return None


_Entry = tuple[_Parameter, type_handlers.ParamInfo, type_handlers.SaveArgs]


def _groups(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """The entries in their order, in lists of at most `_GROUP` bytes or of one."""
    group, size = [], 0
    for entry in entries:
        nbytes = entry[0].leaf.nbytes
        if group and size + nbytes > _GROUP:
            yield group
            group, size = [], 0
        group.append(entry)
        size += nbytes
    if group:
        yield group
