"""The random draws behind stochastic scores, one key per image.

Every draw follows from the key of its image alone: it depends neither on the rest of the batch, nor on its
order, nor on the devices. Draws of different kinds from one key are independent, and a longer series begins
with the shorter one.

Axes: B images, L tokens of an image, M hidden tokens, R repetitions.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int, Key, UInt32

_MASK, _LEVEL, _NOISE, _PROBE = range(4)


def id_numbers(ids: Iterable[Any]) -> UInt32[np.ndarray, " B"]:
    """A number for each id, the CRC-32 of its text: what `image_keys` folds in, for names of any kind."""
    return np.array([zlib.crc32(str(each).encode()) for each in ids], np.uint32)


def image_keys(key: Key[Array, ""], ids: UInt32[Array | np.ndarray, " B"]) -> Key[Array, " B"]:
    """One key per image, from a key and a number that stays with the image wherever it is scored."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, ids)


def hidden_positions(key: Key[Array, " B"], length: int, count: int) -> Int[Array, "B M"]:
    """Which `count` of the positions 0 .. length - 1 are hidden, uniformly, ascending; [B,count] int32.

    Fewer hidden positions are a subset of more.

    Raises:
      ValueError: if `count` is not in 1 .. length.
    """
    if not 1 <= count <= length:
        raise ValueError(f"{count} of {length} tokens cannot be hidden.")
    order = _per_image(lambda key: jax.random.permutation(key, length), key, _MASK)
    return jnp.sort(order[:, :count], axis=1).astype(jnp.int32)


def levels(key: Key[Array, " B"], repetitions: int, count: int, num_levels: int) -> Int[Array, "R B M"]:
    """Uniform in 0 .. num_levels - 1, int32, a new one for each of `count` tokens and each repetition."""
    share = _per_image(lambda key: jax.random.uniform(key, (repetitions, count)), key, _LEVEL)
    return jnp.floor(rearrange(share, "b r m -> r b m") * num_levels).astype(jnp.int32)


def noises(key: Key[Array, " B"], repetitions: int, shape: tuple[int, ...]) -> Float[Array, "R B *shape"]:
    """Standard Gaussian of `shape` for every image and repetition, float32."""
    noise = _per_image(lambda key: jax.random.normal(key, (repetitions, *shape)), key, _NOISE)
    return rearrange(noise, "b r ... -> r b ...")


def probe(
    key: Key[Array, " B"], number: int | Int[Array, ""], shape: tuple[int, ...]
) -> Float[Array, " B *shape"]:
    """Standard Gaussian of `shape` for every image, float32: the direction `number` to differentiate in."""
    return _per_image(lambda key: jax.random.normal(jax.random.fold_in(key, number), shape), key, _PROBE)


def _per_image(draw: Callable[[Array], Array], key: Array, kind: int) -> Array:
    return jax.vmap(lambda key: draw(jax.random.fold_in(key, kind)))(key)
