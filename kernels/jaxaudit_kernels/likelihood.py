"""Statistics of a token under the distribution its logits define, in one pass over the logits.

With logits z over the vocabulary, the token t that was observed, and p = softmax(z):

    (1)  log p_t = z_t − log Σ_v exp z_v
    (2)  margin  = z_t − max_{v≠t} z_v
    (3)  rank    = #{v : z_v > z_t}
    (4)  μ       = Σ_v p_v log p_v                  (minus the entropy)
    (5)  σ²      = Σ_v p_v (log p_v − μ)²

μ and σ² are those of Min-K%++ (Zhang et al., arXiv 2404.02936, eq. 3). (5) is summed around the mean: the
difference of moments Σ p log² p − μ² cancels when p is nearly flat.

Class guidance compares the logits given the label with those given the null label. Its *difference view*
soft-maxes z_c − z_0 like ordinary logits (Kowalczuk et al., arXiv 2502.02514).

From hidden states on, a TPU, and a CUDA device in 16-bit precision, computes them in one kernel in which no
logit reaches memory (`jaxaudit_kernels.fused_likelihood`); elsewhere the logits exist for a few tokens at a
time. Which one it is follows the platform that is compiled for. A kernel cannot be split by the compiler, so
over several devices either runs inside `jax.shard_map`, on the rows of one device.

Axes: B batch, L tokens, C channels, V vocabulary; ... any leading axes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxaudit_kernels import fused_likelihood
from jaxaudit_kernels.chunks import map_chunks
from jaxaudit_kernels.partitioning import left_to_compiler
from jaxaudit_kernels.vocabulary_parts import Part


class TokenStatistics(NamedTuple):
    """What membership scores need to know of each token; see (1)–(5). All natural logarithms (nats).

    Attributes:
      log_prob: log p of the token, [..., L] float32.
      margin: logit of the token minus the best other logit, [..., L] float32; positive if the token leads.
      rank: 0 for the most probable token, [..., L] int32. Only strictly larger logits count, so tokens tied
        with the best all have rank 0.
      mean: mean of log p under p, [..., L] float32; minus the entropy.
      variance: variance of log p under p, [..., L] float32.
      argmax: the most probable token, [..., L] int32; the lowest index among ties.
    """

    log_prob: Float[Array, "*batch L"]
    margin: Float[Array, "*batch L"]
    rank: Int[Array, "*batch L"]
    mean: Float[Array, "*batch L"]
    variance: Float[Array, "*batch L"]
    argmax: Int[Array, "*batch L"]

    @property
    def entropy(self) -> Float[Array, "*batch L"]:
        """Entropy of p in nats, [..., L] float32."""
        return -self.mean


def token_statistics(logits: Float[Array, "*batch L V"], tokens: Int[Array, "*batch L"]) -> TokenStatistics:
    """The statistics of `tokens` [..., L] (integers 0 .. V-1) under finite `logits` [..., L, V].

    Computed in float32 whatever the dtype of the logits. A constant added to the logits of one token changes
    nothing but rounding. A token out of range gives NaN.

    Raises:
      ValueError: if the shapes do not fit each other.
    """
    if jnp.shape(logits)[:-1] != jnp.shape(tokens):
        raise ValueError(
            f"Logits {jnp.shape(logits)} and tokens {jnp.shape(tokens)} do not share their leading axes."
        )
    z = jnp.asarray(logits, jnp.float32)
    index = tokens[..., None]
    vocabulary = jax.lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
    # Plain reductions, which XLA vectorises; jnp.argmax alone would cost five times as much on a CPU.
    z_t = jnp.take_along_axis(z, index, axis=-1)
    best_other = jnp.max(jnp.where(vocabulary == index, -jnp.inf, z), axis=-1, keepdims=True)
    best = jnp.maximum(z_t, best_other)
    rank = jnp.sum(z > z_t, axis=-1, dtype=jnp.int32)
    argmax = jnp.min(jnp.where(z == best, vocabulary, z.shape[-1]), axis=-1)

    shifted = z - best
    weights = jnp.exp(shifted)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    mean = jnp.sum(weights * shifted, axis=-1, keepdims=True) / total
    variance = jnp.sum(weights * jnp.square(shifted - mean), axis=-1, keepdims=True) / total
    log_total = jnp.log(total)
    return TokenStatistics(
        log_prob=(z_t - best - log_total)[..., 0],
        margin=(z_t - best_other)[..., 0],
        rank=rank,
        mean=(mean - log_total)[..., 0],
        variance=variance[..., 0],
        argmax=argmax,
    )


def chunked_token_statistics(
    hidden: Float[Array, "*batch L C"],
    kernel: Float[Array, "C V"],
    bias: Float[Array, " V"],
    tokens: Int[Array, "*batch L"],
    *,
    chunk_size: int = 32,
) -> TokenStatistics:
    """`token_statistics` of the logits `hidden @ kernel + bias`, which never exist for more than a chunk.

    Not differentiable on every platform.

    Args:
      hidden: what the output layer reads, [..., L, C].
      kernel: weights of the output layer, [C, V]; the product runs in the dtype of the operands and
        accumulates in float32.
      bias: its bias, [V].
      tokens: [..., L] integers.
      chunk_size: tokens of a sequence whose logits exist at a time, if any: memory grows with it, results
        stay.

    Raises:
      ValueError: if shapes do not fit or `chunk_size` is not positive.
    """
    return _statistics((hidden,), kernel, bias, tokens, chunk_size)[0]


def guided_token_statistics(
    hidden_cond: Float[Array, "*batch L C"],
    hidden_null: Float[Array, "*batch L C"],
    kernel: Float[Array, "C V"],
    bias: Float[Array, " V"],
    tokens: Int[Array, "*batch L"],
    *,
    chunk_size: int = 32,
) -> dict[str, TokenStatistics]:
    """The statistics given the class label, given the null label, and of the difference of the two logits.

    One pass: each logit is computed once and serves all views. Arguments and errors are those of
    `chunked_token_statistics`, with the hidden states under the label and under the null label.

    Returns:
      {"cond": on z_c, "null": on z_0, "diff": on z_c − z_0}.
    """
    views = _statistics((hidden_cond, hidden_null), kernel, bias, tokens, chunk_size)
    return dict(zip(("cond", "null", "diff"), views, strict=True))


def _statistics(
    hidden: tuple[Array, ...], kernel: Array, bias: Array, tokens: Array, chunk_size: int
) -> list[TokenStatistics]:
    """Of each view: of the logits of one hidden state, or of two and their difference."""
    for states in hidden:
        _check(states, kernel, bias, tokens)
    chunked = functools.partial(_chunked, chunk_size=chunk_size)
    fused = _fused_kernels(len(hidden), kernel.shape[0], jnp.result_type(*hidden, kernel))
    return jax.lax.platform_dependent(hidden, kernel, bias, tokens, default=chunked, **fused)


def _fused_kernels(
    conditions: int, channels: int, dtype: np.dtype
) -> dict[str, Callable[..., list[TokenStatistics]]]:
    """The platforms that have a kernel which is worth it, and the kernel.

    Triton has no tensor cores for float32; cuBLAS is faster there. Where an axis of the mesh is left to the
    compiler, which could not split a kernel, there is none.
    """
    if left_to_compiler():
        return {}
    kernels = {}
    if fused_likelihood.fits_mosaic(conditions, channels, dtype):
        kernels["tpu"] = functools.partial(_fused, fused_likelihood.mosaic)
    if dtype.itemsize == 2:
        kernels["cuda"] = functools.partial(_fused, fused_likelihood.triton)
    return kernels


def _fused(
    compute: Callable[..., tuple[Array, Part]],
    hidden: tuple[Array, ...],
    kernel: Array,
    bias: Array,
    tokens: Array,
) -> list[TokenStatistics]:
    """By one of the kernels of `jaxaudit_kernels.fused_likelihood`."""
    dtype = jnp.result_type(*hidden, kernel)
    rows = tuple(states.reshape(tokens.size, -1).astype(dtype) for states in hidden)
    z_t, parts = compute(rows, kernel.astype(dtype), bias, tokens.reshape(-1))
    log_total = jnp.log(parts.total)
    statistics = TokenStatistics(
        log_prob=z_t - parts.best - log_total,
        margin=z_t - parts.best_other,
        rank=parts.rank.astype(jnp.int32),
        mean=parts.mean - log_total,
        variance=parts.spread / parts.total,
        argmax=parts.argmax.astype(jnp.int32),
    )
    return [
        TokenStatistics(*(values[view].reshape(tokens.shape) for values in statistics))
        for view in range(len(z_t))
    ]


def _chunked(
    hidden: tuple[Array, ...], kernel: Array, bias: Array, tokens: Array, *, chunk_size: int
) -> list[TokenStatistics]:
    """By XLA, the logits existing for a chunk at a time."""

    def statistics(tokens: Array, *hidden: Array) -> list[TokenStatistics]:
        # One matrix product of all rows; stacked on a new axis, so that a sharded batch stays put.
        logits = _logits(jnp.stack(hidden, axis=-3), kernel, bias)
        views = [logits[..., index, :, :] for index in range(len(hidden))]
        if len(views) == 2:
            views.append(views[0] - views[1])
        return [token_statistics(z, tokens) for z in views]

    return map_chunks(statistics, (tokens, *hidden), axis=tokens.ndim - 1, chunk_size=chunk_size)


def _check(hidden: Array, kernel: Array, bias: Array, tokens: Array) -> None:
    channels, vocabulary = kernel.shape
    if hidden.shape != (*tokens.shape, channels) or bias.shape != (vocabulary,):
        raise ValueError(
            f"Hidden states {hidden.shape}, kernel {kernel.shape}, bias {bias.shape} and tokens "
            f"{tokens.shape} do not fit; expected [..., L, C], [C, V], [V] and [..., L]."
        )


def _logits(hidden: Array, kernel: Array, bias: Array) -> Array:
    """hidden @ kernel + bias in float32; float32 operands are not rounded to TF32 or bfloat16."""
    exact = jnp.result_type(hidden, kernel) == jnp.float32
    precision = jax.lax.Precision.HIGHEST if exact else jax.lax.Precision.DEFAULT
    logits = jnp.matmul(hidden, kernel, precision=precision, preferred_element_type=jnp.float32)
    return logits + jnp.broadcast_to(bias.astype(jnp.float32), logits.shape)
