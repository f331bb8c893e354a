"""From one value per token to one per image: what the scores of several kinds of target share.

The value x_n of a token is higher where the model does better: a log-probability, or minus a loss.

Axes: B images, L tokens; ... any leading axes. Results are [..., ] float32, one per image.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

PERCENTS = (10, 20, 30, 40, 50)
"""The k of scores over the k% worst tokens."""


def percentage(values: Float[Array, "*batch L"], k: int) -> int:
    """k% of the tokens, rounded down."""
    return int(k / 100 * values.shape[-1])


def mean_of_lowest(values: Float[Array, "*batch L"], count: int) -> Float[Array, "*batch"]:
    """Mean of the `count` lowest values; NaN for none."""
    return jnp.mean(jnp.sort(values, axis=-1)[..., :count], axis=-1)


def share_of_tokens(mask: Bool[Array, "*batch L"]) -> Float[Array, "*batch"]:
    """Share of the tokens where the mask is set."""
    return jnp.mean(mask, axis=-1, dtype=jnp.float32)


def share_below_mean(values: Float[Array, "*batch L"]) -> Float[Array, "*batch"]:
    """Share of the tokens below the image's mean."""
    return share_of_tokens(values < jnp.mean(values, axis=-1, keepdims=True))


def share_below_running_mean(values: Float[Array, "*batch L"]) -> Float[Array, "*batch"]:
    """Share of the tokens below the mean of those up to them, themselves included: the first never is."""
    count = 1 + jax.lax.broadcasted_iota(jnp.float32, values.shape, values.ndim - 1)
    return share_of_tokens(values < jnp.cumsum(values, axis=-1) / count)


def slope(values: Float[Array, "*batch L"]) -> Float[Array, "*batch"]:
    """Least-squares slope along the tokens, per token."""
    offset = jax.lax.broadcasted_iota(jnp.float32, values.shape, values.ndim - 1) - (values.shape[-1] - 1) / 2
    deviation = values - jnp.mean(values, axis=-1, keepdims=True)
    return jnp.sum(offset * deviation, axis=-1) / jnp.sum(jnp.square(offset), axis=-1)


def mean_per_scale(
    values: Float[Array, "*batch L"], tokens_per_step: Sequence[int]
) -> Float[Array, "*batch S"]:
    """Mean over the tokens of each scale.

    Tokens of a step are predicted together, and are a scale. A model that predicts one token at a time
    has one scale.
    """
    lengths = tokens_per_step if max(tokens_per_step) > 1 else (len(tokens_per_step),)
    ends = np.cumsum(lengths)
    scales = (values[..., end - length : end] for end, length in zip(ends, lengths, strict=True))
    return jnp.stack([jnp.mean(scale, axis=-1) for scale in scales], axis=-1)


def compressed_sizes(tokens: Num[np.ndarray, "B ..."]) -> Int[np.ndarray, " B"]:
    """Bytes of the zlib-compressed text of each image's tokens, level 6.

    The text is that of a (nested) list: "[3, 17, 5]"; float32 numbers are written with the digits of the
    equal float64.
    """
    texts = (str(row).encode() for row in np.asarray(tokens).tolist())
    with ThreadPoolExecutor() as pool:  # zlib releases the interpreter lock
        return np.array(list(pool.map(lambda text: len(zlib.compress(text)), texts)))
