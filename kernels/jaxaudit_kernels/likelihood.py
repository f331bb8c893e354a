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

Axes: B batch, L tokens, C channels, V vocabulary; ... any leading axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

T = TypeVar("T")


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

    Args:
      hidden: what the output layer reads, [..., L, C].
      kernel: weights of the output layer, [C, V]; the product runs in the dtype of the operands and
        accumulates in float32.
      bias: its bias, [V].
      tokens: [..., L] integers.
      chunk_size: tokens of a sequence whose logits exist at a time: memory grows with it, results stay.

    Raises:
      ValueError: if shapes do not fit or `chunk_size` is not positive.
    """
    _check(hidden, kernel, bias, tokens)

    def statistics(hidden: Array, tokens: Array) -> TokenStatistics:
        return token_statistics(_logits(hidden, kernel, bias), tokens)

    return _map_chunks(statistics, (hidden, tokens), axis=tokens.ndim - 1, chunk_size=chunk_size)


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
    for hidden in (hidden_cond, hidden_null):
        _check(hidden, kernel, bias, tokens)

    def statistics(hidden_cond: Array, hidden_null: Array, tokens: Array) -> dict[str, TokenStatistics]:
        # One matrix product of twice the rows; stacked on a new axis, so that a sharded batch stays put.
        logits = _logits(jnp.stack([hidden_cond, hidden_null], axis=-3), kernel, bias)
        cond, null = logits[..., 0, :, :], logits[..., 1, :, :]
        views = {"cond": cond, "null": null, "diff": cond - null}
        return {view: token_statistics(z, tokens) for view, z in views.items()}

    arrays = (hidden_cond, hidden_null, tokens)
    return _map_chunks(statistics, arrays, axis=tokens.ndim - 1, chunk_size=chunk_size)


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


def _map_chunks(function: Callable[..., T], arrays: tuple[Array, ...], *, axis: int, chunk_size: int) -> T:
    """`function` over slices of `arrays` along their token axis, one at a time; its [..., l] results joined.

    The chunks are of equal size; the last one ends at L and so may overlap the one before it by a few tokens.
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
