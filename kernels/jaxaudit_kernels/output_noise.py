"""Gaussian noise on a model's answers that follows from the question.

    ε(c, t_<s, n) ~ N(0, I_V),   keyed by a hash of the label or caption c, the tokens t of the steps before
                                 that of token n, and n                                                    (1)

A model whose logits are z + σ ε gives equal answers to equal questions: asking again does not average the
noise away, no answer depends on the batch it was computed in, and greedy generation agrees with teacher
forcing token by token. The hash is the sum of one pseudo-random word per (position, token), as in Zobrist
hashing, so that all prefixes of a sequence are hashed by one cumulative sum; two words make a key.

A diffusion model's question is noised latents, a level and a condition: their bits make the key.

Axes: B batch, L tokens, V vocabulary, T tokens and D channels of a caption, h and w latent pixels, c
channels; ... any axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

_SALTS = (0x9E3779B9, 0x7F4A7C15)

Seed = int | UInt32[Array, ""]
"""Of all the noise of a model, below 2³²."""


def context_words(
    tokens: Int[Array, "B L"],
    condition: Int[Array, " B"] | Float[Array, "B T D"],
    steps: Sequence[int],
    *,
    seed: Seed,
) -> UInt32[Array, "B L 2"]:
    """The hash in (1) of what each token is predicted from.

    Args:
      tokens: those of later steps than a token's own change nothing for it.
      condition: classes, or embeddings of captions.
      steps: numbers of tokens predicted together, in order.
      seed: of all the noise.

    Raises:
      ValueError: if the steps do not sum to L.
    """
    length = tokens.shape[1]
    if sum(steps) != length:
        raise ValueError(f"Steps of {sum(steps)} tokens in all do not fit {length} tokens.")
    starts = np.repeat(np.cumsum(steps) - np.asarray(steps), steps)
    positions = jnp.arange(length, dtype=jnp.uint32)[None]
    words = []
    for salt in _salts(seed):
        place = _mix(positions + salt)
        each = _mix(tokens.astype(jnp.uint32) + place)
        before = jnp.pad(jnp.cumsum(each, axis=1, dtype=jnp.uint32), ((0, 0), (1, 0)))[:, starts]
        told = _mix(_condition_word(condition, salt) + salt)[:, None]
        words.append(_mix(_mix(before + told) + place))
    return jnp.stack(words, axis=-1)


def keyed_normal(words: UInt32[Array, "... 2"], size: int) -> Float[Array, "... size"]:
    """Standard Gaussian vectors float32, one for each key of two words."""
    keys = jax.random.wrap_key_data(words, impl="threefry2x32")
    draw = jax.vmap(lambda key: jax.random.normal(key, (size,)))
    return draw(keys.reshape(-1)).reshape(*keys.shape, size)


def noise_words(
    noise: Float[Array, "... D"], labels: Int[Array, "..."], *, seed: Seed
) -> UInt32[Array, "... 2"]:
    """Keys from the bits of vectors float32 and from labels, for questions that are asked with a noise."""
    words = []
    for salt in _salts(seed):
        label = _mix(labels.astype(jnp.uint32) + salt)
        words.append(_mix(_vector_word(noise, salt) + label))
    return jnp.stack(words, axis=-1)


def latent_words(
    latents: Float[Array, "B h w c"],
    level: Int[Array, "..."],
    condition: Int[Array, " B"] | Float[Array, "B T D"] | None,
    *,
    seed: Seed,
) -> UInt32[Array, "B 2"]:
    """Keys from noised latents, the level (one for all, or one each) and what the model is told."""
    words = []
    for salt in _salts(seed):
        seen = _vector_word(latents.reshape(len(latents), -1), salt) + _mix(level.astype(jnp.uint32) + salt)
        told = jnp.uint32(0) if condition is None else _mix(_condition_word(condition, salt) + salt)
        words.append(_mix(_mix(seen) + told))
    return jnp.stack(words, axis=-1)


def _condition_word(
    condition: Int[Array, " B"] | Float[Array, "B T D"], salt: UInt32[Array, ""]
) -> UInt32[Array, " B"]:
    if condition.ndim == 1:
        return condition.astype(jnp.uint32)
    return _vector_word(condition.astype(jnp.float32).reshape(len(condition), -1), salt)


def _vector_word(x: Float[Array, "... D"], salt: UInt32[Array, ""]) -> UInt32[Array, "..."]:
    """A hash of the bits of vectors float32."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    place = jnp.arange(x.shape[-1], dtype=jnp.uint32).reshape((1,) * (x.ndim - 1) + (-1,))
    return jnp.sum(_mix(bits + _mix(place + salt)), axis=-1, dtype=jnp.uint32)


def _salts(seed: Seed) -> list[UInt32[Array, ""]]:
    return [_mix(jnp.uint32(salt) + jnp.asarray(seed, jnp.uint32)) for salt in _SALTS]


def _mix(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """A bijection of 32-bit words in which every bit depends on every other (MurmurHash3's last step)."""
    x = (x ^ (x >> jnp.uint32(16))) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> jnp.uint32(13))) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> jnp.uint32(16))
