"""Statistics of a token from parts of the vocabulary, none of which needs the others' logits.

A part P of the vocabulary, with logits z and a token t whose logit z_t is known beforehand, is summed up by

    (1)  b = max_{v∈P} z_v,   b' = max_{v∈P, v≠t} z_v,   a = min {v∈P : z_v = b},   r = #{v∈P : z_v > z_t}
    (2)  w = Σ_{v∈P} exp(z_v − b)
    (3)  m = Σ exp(z_v − b) (z_v − b) / w
    (4)  s = Σ exp(z_v − b) (z_v − b − m)²

Two parts, P before Q, make one: b, b', a, r as they read, and with b = max(b_P, b_Q) and f = exp(b_part − b)

    (5)  w = Σ f w,   m = Σ f w (m_part + b_part − b) / w,   s = Σ f s + (f_P w_P)(f_Q w_Q) / w · (m_P − m_Q)²

where m_P and m_Q are both taken from b. (5) is exact and cancels nothing: a sum of squares would lose the
variance of a distribution that is nearly flat (Chan, Golub & LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979). Of the whole vocabulary:

    (6)  log p_t = z_t − b − log w,   margin = z_t − b',   μ = m − log w,   σ² = s / w

Axes: v codes of a part, M tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

# exp is 0 in float32 long before, and 0 times a finite number is 0.
_LOWEST = -128.0


class Part(NamedTuple):
    """(1) to (4) of a part of the vocabulary, all float32, as whole numbers below 2²⁴ are exact in it.

    Attributes:
      best: b.
      best_other: b', -inf if t is all of P.
      argmax: a.
      rank: r.
      total: w.
      mean: m, not positive.
      spread: s.
    """

    best: Float[Array, "1 M"]
    best_other: Float[Array, "1 M"]
    argmax: Float[Array, "1 M"]
    rank: Float[Array, "1 M"]
    total: Float[Array, "1 M"]
    mean: Float[Array, "1 M"]
    spread: Float[Array, "1 M"]


def nothing(num_tokens: int) -> Part:
    """The part without a code, with which others join unchanged."""
    zeros = jnp.zeros((1, num_tokens), jnp.float32)
    return Part(zeros - jnp.inf, zeros - jnp.inf, zeros, zeros, zeros, zeros, zeros)


def summarise(
    z: Float[Array, "v M"], codes: Float[Array, "v M"], z_t: Float[Array, "1 M"], tokens: Float[Array, "1 M"]
) -> Part:
    """(1) to (4).

    Args:
      z: logits, float32; -inf for codes that do not exist.
      codes: v. tokens: t. Both as float32.
      z_t: logit of the token, rounded as in z.
    """

    def over(values: Array) -> Array:
        return jnp.sum(values, axis=0, keepdims=True)

    best = jnp.max(z, axis=0, keepdims=True)
    shifted = jnp.maximum(z - best, _LOWEST)
    weights = jnp.exp(shifted)
    total = over(weights)
    mean = over(weights * shifted) / total
    return Part(
        best=best,
        best_other=jnp.max(jnp.where(codes == tokens, -jnp.inf, z), axis=0, keepdims=True),
        argmax=jnp.min(jnp.where(z == best, codes, jnp.inf), axis=0, keepdims=True),
        rank=over(jnp.where(z > z_t, 1.0, 0.0)),
        total=total,
        mean=mean,
        spread=over(weights * jnp.square(shifted - mean)),
    )


def join(before: Part, after: Part) -> Part:
    """(5): the two as one part; among tied logits the code of the first counts."""
    best = jnp.maximum(before.best, after.best)
    shift_before, shift_after = (jnp.maximum(part.best - best, _LOWEST) for part in (before, after))
    factor_before, factor_after = jnp.exp(shift_before), jnp.exp(shift_after)
    weight_before, weight_after = factor_before * before.total, factor_after * after.total
    mean_before, mean_after = before.mean + shift_before, after.mean + shift_after
    total = weight_before + weight_after
    between = weight_before * weight_after / total * jnp.square(mean_before - mean_after)
    return Part(
        best=best,
        best_other=jnp.maximum(before.best_other, after.best_other),
        argmax=jnp.where(after.best > before.best, after.argmax, before.argmax),
        rank=before.rank + after.rank,
        total=total,
        mean=(weight_before * mean_before + weight_after * mean_after) / total,
        spread=factor_before * before.spread + factor_after * after.spread + between,
    )
