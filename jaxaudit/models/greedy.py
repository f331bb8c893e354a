"""Greedy completion, one token after the other, with a key/value cache.

Axes: B batch, N tokens of a picture, n tokens read, H heads, K keys, d head width, C width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxaudit.models.attention import Cache
from jaxaudit.models.forward import forward


def complete(
    model: nn.Module,
    params: Mapping[str, Any],
    tokens: Int[Array, "B N"],
    labels: Int[Array, " B"],
    prefix: int,
    *,
    perturb: Callable[[Array, ArrayLike], Float[Array, "B V"]] | None = None,
) -> Int[Array, "B N"]:
    """Keeps the first `prefix` (static) tokens and continues greedily: tokens [B,N] int32.

    One pass reads the prefix; then one loop reads a token at a time.

    Args:
      model: with these methods:
        prefill(tokens [B,n], labels) -> hidden states [B,n+1,C], of which row i predicts token i, and the
          cache, keys and values [B,H,K,d] of every block;
        step(tokens [B], labels, index, cache) -> the hidden states [B,C] that have read token `index` too,
          and the cache, of the same size;
        head(hidden states [B,C]) -> logits [B,V].
      params: the model's.
      tokens: those of the pictures to complete.
      labels: their classes.
      prefix: 0 .. N.
      perturb: a function of the tokens so far and the index of the next one, added to its logits.
    """
    num_tokens = tokens.shape[1]
    if prefix == num_tokens:
        return tokens

    def call(method: str, *inputs: Any) -> Any:
        return forward(model, params, *inputs, method=method)

    def choose(states: Float[Array, "B C"], tokens: Int[Array, "B N"], index: ArrayLike) -> Array:
        logits = call("head", states)
        if perturb is not None:
            logits = logits + perturb(tokens, index)
        return tokens.at[:, index].set(jnp.argmax(logits, axis=-1).astype(tokens.dtype))

    def extend(index: Array, carry: tuple[Array, Cache]) -> tuple[Array, Cache]:
        tokens, cache = carry
        states, cache = call("step", tokens[:, index], labels, index, cache)
        return choose(states, tokens, index + 1), cache

    states, cache = call("prefill", tokens[:, :prefix], labels)
    room = num_tokens - 1 - prefix  # the last token is never read
    cache = jax.tree.map(lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, room), (0, 0))), cache)
    tokens = choose(states[:, -1], tokens, prefix)
    return jax.lax.fori_loop(prefix, num_tokens - 1, extend, (tokens, cache))[0]
