"""A function along an axis, a few entries at a time: memory grows with the chunk, results stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array

T = TypeVar("T")


def map_chunks(function: Callable[..., T], arrays: tuple[Array, ...], *, axis: int, chunk_size: int) -> T:
    """`function` over slices of `arrays` along an axis, one at a time; its [..., l] results joined.

    The chunks are of equal size; the last one ends at L and so may overlap the one before it by a few tokens.

    Raises:
      ValueError: if `chunk_size` is not positive.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size={chunk_size} is not positive.")
    length = arrays[0].shape[axis]
    count = -(-length // chunk_size)
    size = -(-length // count)

    def chunk(start: Array) -> T:
        return function(*(jax.lax.dynamic_slice_in_dim(array, start, size, axis) for array in arrays))

    chunks = jax.lax.map(chunk, jnp.minimum(jnp.arange(count) * size, length - size))

    def join(parts: Array) -> Array:
        body, last = jnp.moveaxis(parts[:-1], 0, axis), parts[-1, ..., count * size - length :]
        return jnp.concatenate([body.reshape(*body.shape[:axis], (count - 1) * size), last], axis=axis)

    return jax.tree.map(join, chunks)
