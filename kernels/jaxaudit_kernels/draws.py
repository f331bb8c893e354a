"""The random draws behind stochastic scores, one key per image.

Every draw follows from the key of its image alone: it depends neither on the rest of the batch, nor on its
order, nor on the devices. Draws of different kinds from one key are independent, and the first draws of a
longer series are those of a shorter one.

Axes: B images, L tokens of an image, M hidden tokens, R repetitions.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32

_MASK, _TIME, _NOISE = range(3)


def image_keys(key: Key[Array, ""], ids: UInt32[Array, " B"]) -> Key[Array, " B"]:
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

    def one(key: Array) -> Array:
        order = jax.random.permutation(jax.random.fold_in(key, _MASK), length)
        return jnp.sort(order[:count])

    return jax.vmap(one)(key).astype(jnp.int32)


def timesteps(key: Key[Array, " B"], repetitions: int, tokens: int, steps: int) -> Int[Array, "R B M"]:
    """Uniform in 0 .. steps - 1, a new one for every token and repetition; int32."""

    def draw(key: Array) -> Array:
        return jax.random.randint(key, (tokens,), 0, steps, jnp.int32)

    return _repeated(draw, key, _TIME, repetitions)


def noises(key: Key[Array, " B"], repetitions: int, shape: tuple[int, ...]) -> Float[Array, "R B *shape"]:
    """Standard Gaussian of `shape` for every image and repetition; float32."""
    return _repeated(lambda key: jax.random.normal(key, shape, jnp.float32), key, _NOISE, repetitions)


def _repeated(draw, key: Array, kind: int, repetitions: int) -> Array:
    def one(key: Array, repetition: Array) -> Array:
        return draw(jax.random.fold_in(jax.random.fold_in(key, kind), repetition))

    over_images = jax.vmap(one, in_axes=(0, None))
    return jax.vmap(over_images, in_axes=(None, 0))(key, jnp.arange(repetitions))
