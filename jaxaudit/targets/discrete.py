"""Autoregressive image generators over discrete tokens.

Axes: B batch, H and W pixels, L tokens, V vocabulary, C channels of a hidden state, T tokens and D channels
of a caption's embedding.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxaudit.errors import InputError
from jaxaudit.targets.base import AnyArray, BaseTarget, Condition, Given, Kind, Params, check_prefix
from jaxaudit_kernels.precision import matmul_precision


@dataclasses.dataclass(frozen=True)
class DiscreteFunctions:
    """The pure functions of a discrete-token model. Every one takes `params` first and is jittable.

    `condition` is what the target says: labels [B] or embeddings of captions [B,T,D].

    Attributes:
      encode: images [B,H,W,3] float32 in the target's range -> tokens [B,L] int32.
      decode: tokens [B,L] int32 -> images [B,H,W,3] float32 in the target's range, clamped.
      hidden: (tokens [B,L], condition) -> hidden states [B,L,C], teacher forced: row n has seen tokens < n
        (VAR: the scales before that of n) and is what `head` turns into the logits of token n.
      head: () -> (kernel [C,V], bias [V]): logits = hidden @ kernel + bias.
      activations: (tokens, condition) -> {hidden layer: [B,L,F]}, its units after the activation function.
      complete: (tokens, condition, prefix) -> tokens [B,L]; keeps the first `prefix` (static int) scales or
        tokens and continues greedily, with a key/value cache.
    """

    encode: Callable[..., Int[Array, "B L"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    hidden: Callable[..., Float[Array, "B L C"]]
    head: Callable[[Params], tuple[Float[Array, "C V"], Float[Array, " V"]]]
    activations: Callable[..., dict[str, Float[Array, "B L _"]]]
    complete: Callable[..., Int[Array, "B L"]]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DiscreteTarget(BaseTarget):
    """An autoregressive image generator over discrete tokens (VAR, RAR), of classes or of captions.

    Where its methods take labels, a model of captions takes their embeddings [B,T,D].

    Attributes, beside those of every target:
      vocab_size: V.
      tokens_per_step: their sum is L (VAR: one entry per scale, RAR: all ones).
    """

    kind: ClassVar[Kind] = "discrete"

    functions: DiscreteFunctions
    latent_shape: None = None
    vocab_size: int

    def encode(self, images: Float[AnyArray, "B H W 3"]) -> Int[Array, "B L"]:
        """Tokens [B,L] int32 of images [B,H,W,3] float32 in the target's range."""
        return self._compiled("encode")(self.params, self._images(images))

    def decode(self, tokens: Int[AnyArray, "B L"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 in the target's range."""
        return self._compiled("decode")(self.params, self._tokens(tokens))

    def logits(self, tokens: Int[AnyArray, "B L"], labels: Given) -> Float[Array, "B L V"]:
        """Teacher-forced logits [B,L,V] float32; row n predicts token n. No label is ever dropped.

        For the null view pass labels filled with `null_label`, or captions with `null_context`. Holds all
        logits: audits use the chunked statistics of `jaxaudit_kernels.likelihood` instead.
        """
        return _compile_logits(self.functions)(self.params, *self._inputs(tokens, labels))

    def activations(self, tokens: Int[AnyArray, "B L"], labels: Given) -> dict[str, Float[Array, "B L _"]]:
        """{hidden layer: [B,L,F]}: its units after the activation function, teacher forced."""
        return self._activations(*self._inputs(tokens, labels))

    def complete(self, tokens: Int[AnyArray, "B L"], labels: Given, prefix: int) -> Int[Array, "B L"]:
        """Keeps the first `prefix` steps (VAR scales, RAR tokens) of `tokens`; the rest is the greedy choice.

        Raises:
          InputError: if `prefix` is not in 0 .. number of steps.
        """
        check_prefix(prefix, self.tokens_per_step)
        return self._compiled("complete", static=(3,))(self.params, *self._inputs(tokens, labels), prefix)

    def _inputs(self, tokens: Int[AnyArray, "B L"], labels: Given) -> tuple[Int[Array, "B L"], Condition]:
        found = self._tokens(tokens)
        return found, self._condition(labels, len(found))

    def _tokens(self, tokens: Int[AnyArray, "B L"]) -> Int[Array, "B L"]:
        if np.ndim(tokens) != 2 or np.shape(tokens)[1] != self.num_tokens:
            raise InputError(
                f"Tokens of shape {np.shape(tokens)} do not fit; expected [B,{self.num_tokens}]."
            )
        return jnp.asarray(tokens, jnp.int32)


@functools.lru_cache(maxsize=64)
def _compile_logits(functions: DiscreteFunctions) -> Callable[..., Float[Array, "B L V"]]:
    return jax.jit(functools.partial(_logits, functions))


def _logits(functions: DiscreteFunctions, params: Params, tokens: Array, condition: Condition) -> Array:
    kernel, bias = functions.head(params)
    hidden = functions.hidden(params, tokens, condition)
    precision = matmul_precision(hidden.dtype)
    logits = jnp.matmul(hidden, kernel, precision=precision, preferred_element_type=jnp.float32)
    return logits + bias.astype(jnp.float32)[None, None]
