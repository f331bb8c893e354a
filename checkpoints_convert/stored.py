"""Arrays that stay where they are stored until their values are asked for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


@dataclasses.dataclass(frozen=True, eq=False)
class StoredArray:
    """Shape and dtype of an array, and how its values are read; `np.asarray` reads them and keeps nothing.

    Attributes:
      shape: the shape.
      dtype: the dtype.
      read: the values, of that shape and dtype; do not write to them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.read(), dtype or self.dtype, copy=copy)


def mapped(
    path: Path, *, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]
) -> np.ndarray:
    """An array that is the bytes of a file.

    The mapping is this array's alone and goes with it: a process is charged for the pages it has looked at as
    long as they are mapped, so one mapping of a whole checkpoint comes to weigh as much as the file.

    Args:
      path: the file.
      offset: where its first value is, in bytes.
      dtype: of the values.
      shape: of the array.
      strides: from one index to the next along each axis, in values.
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    span = 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    values = np.memmap(path, dtype, "r", offset, (span,))
    return np.ndarray(shape, dtype, values, 0, [step * dtype.itemsize for step in strides])
