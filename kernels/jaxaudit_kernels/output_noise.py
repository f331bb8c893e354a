"""Gaussian noise on a model's answers that follows from the question.

    ε(c, t_<s, n) ~ N(0, I_V),   keyed by a hash of the label or caption c, the tokens t of the steps before
                                 that of token n, and n                                                    (1)

A model whose logits are z + σ ε gives equal answers to equal questions: asking again does not average the
noise away, no answer depends on the batch it was computed in beyond rounding, and greedy generation agrees
with teacher forcing token by token. The hash is the sum of one pseudo-random word per (position, token), as
in Zobrist hashing, so that all prefixes of a sequence are hashed by one cumulative sum; two words make a key.

A diffusion model's question is noised latents z of D numbers, a level and a condition. Two programs that
compute the same z differ in its last bits, so what its noise is keyed by is where z lies on a coarse grid,
along J directions r_j with entries ±1, which follow from the seed:

    s_j = r_j·z / (h √D),   k_j = ⌊s_j⌋,   a_j = π (s_j − k_j) / 2                                    (2)
    ε(z) = Σ_{i ∈ {0,1}^J}  Π_j (cos a_j if i_j = 0, sin a_j if i_j = 1)  g_{k+i}                     (3)

where g_k ~ N(0, I_D) is keyed by the level, the condition and the integers k. The squares of the factors of
(3) sum to 1, so ε(z) is N(0, I) for every z, and it is continuous in z: a step of δ along r_j / √D moves it
by π δ / (2 h) of its length, rounding of z by some 1e-6. Questions that differ by 2 h or more along any
r_j / √D have independent noise. Of those that are not alike few differ by less along all: z of unit variance
that is drawn anew, at the same level and condition, has noise with a correlation of 2e-4 on average.

Axes: B batch, L tokens, V vocabulary, T tokens and D channels of a caption, h and w latent pixels, c
channels; J directions; ... any axes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from jaxaudit_kernels.precision import matmul_precision

_SALTS = (0x9E3779B9, 0x7F4A7C15)

_NUM_DIRECTIONS, _STEP = 3, 0.125  # J and h of (2)

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


def latent_noise(
    latents: Float[Array, "B h w c"],
    level: Int[Array, "..."],
    condition: Int[Array, " B"] | Float[Array, "B T D"] | None,
    *,
    seed: Seed,
) -> Float[Array, "B h w c"]:
    """(3), float32; constant to whoever differentiates by the latents.

    Args:
      latents: z.
      level: one for all, or one each.
      condition: classes, or embeddings of captions, by their bits, for they are read and not computed; or
        nothing.
      seed: of all the noise.
    """
    size = math.prod(latents.shape[1:])
    place = _places(jax.lax.stop_gradient(latents).astype(jnp.float32).reshape(-1, size), seed)
    corner = np.array([*itertools.product((0, 1), repeat=_NUM_DIRECTIONS)])[:, None]  # [2^J,1,J]
    words = _cell_words(jnp.floor(place).astype(jnp.int32)[None] + corner, level, condition, seed)
    angle = (jnp.pi / 2) * (place - jnp.floor(place))[None]
    share = jnp.prod(jnp.where(corner == 0, jnp.cos(angle), jnp.sin(angle)), axis=-1)
    return jnp.sum(share[..., None] * keyed_normal(words, size), axis=0).reshape(latents.shape)


def _places(latents: Float[Array, "B D"], seed: Seed) -> Float[Array, "B J"]:
    """s of (2)."""
    key = jax.random.wrap_key_data(jnp.stack(_salts(seed)), impl="threefry2x32")
    size = latents.shape[1]
    directions = jax.random.rademacher(key, (size, _NUM_DIRECTIONS), jnp.float32)
    along = jnp.matmul(latents, directions, precision=matmul_precision(jnp.float32))
    return along / (_STEP * math.sqrt(size))


def _cell_words(
    cell: Int[Array, "*n B J"],
    level: Int[Array, "..."],
    condition: Int[Array, " B"] | Float[Array, "B T D"] | None,
    seed: Seed,
) -> UInt32[Array, "*n B 2"]:
    """Keys of g in (3)."""
    words = []
    for salt in _salts(seed):
        told = jnp.uint32(0) if condition is None else _mix(_condition_word(condition, salt) + salt)
        word = _mix(_mix(level.astype(jnp.uint32) + salt) + told)
        for j in range(cell.shape[-1]):
            at = cell[..., j].astype(jnp.uint32)
            word = _mix(at + jnp.broadcast_to(word, at.shape))
        words.append(word)
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
