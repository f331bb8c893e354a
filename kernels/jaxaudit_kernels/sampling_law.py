"""With what probability does a sampler draw a token?  The law after guidance, temperature, top-k and top-p.

With logits z_c of the condition and z_0 of the null condition, guidance g of the token (1: none),

  z = z_0 + g (z_c - z_0),  divided by the temperature                                                   (1)
  top-k: logits below the k-th largest are left out, ties with it stay                                   (2)
  top-p: p = softmax(z) over what is left, in ascending order; a token is left out if the sum of p up to
         and including it is at most 1 - top_p; the most probable one always stays                       (3)
  q = p renormalised over what is left; q = 0 for a token left out                                       (4)

An image's tokens after a prefix are drawn with probability prod q of the tokens, teacher forced: one pass
says what sampling would take 1 / prod q tries to show (Hayes et al., arXiv 2410.19482). Tokens equally
probable stay or go together in (3), where samplers break ties by the order in which they sort.

Guidance grows from step to step, from none at the first where there is one to g at the last:

  constant: g    linear: 1 + (g - 1) s / (S - 1)    cosine: 1 + (g - 1) (1 - cos(pi (s / S)^power)) / 2  (5)

as LlamaGen, VAR (over scales; its cfg is g - 1) and RAR have it.

Axes: ... any leading axes, V vocabulary, S steps.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

GuidanceSchedule = Literal["constant", "linear", "cosine"]


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How tokens are drawn.

    Attributes:
      temperature: by which logits are divided, > 0.
      top_k: how many tokens are left, 0 for all.
      top_p: how much probability is left, in (0, 1]; 1 for all.

    Raises:
      ValueError: if one is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"temperature={self.temperature} is not positive.")
        if self.top_k < 0:
            raise ValueError(f"top_k={self.top_k} is negative; 0 keeps all tokens.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} is not in (0, 1]; 1 keeps all tokens.")


def guidance_scales(
    schedule: GuidanceSchedule, last: float, steps: int, *, power: float = 1.0
) -> Float[np.ndarray, " S"]:
    """(5) for every step of generation.

    Args:
      schedule: how it grows.
      last: g.
      steps: S.
      power: of the cosine, > 0.

    Raises:
      ValueError: if the power is not positive.
    """
    if not power > 0:
        raise ValueError(f"power={power} of the guidance is not positive.")
    share = np.arange(steps) / (steps if schedule == "cosine" else max(steps - 1, 1))
    shapes = {"constant": np.ones(steps), "linear": share, "cosine": (1 - np.cos(np.pi * share**power)) / 2}
    return 1 + (last - 1) * shapes[schedule]


def guided(
    conditional: Float[Array, "*n V"], null: Float[Array, "*n V"], scale: Float[Array, "*n"]
) -> Float[Array, "*n V"]:
    """(1) before the temperature, float32; a scale of 1 gives the conditional logits exactly."""
    conditional, null = (jnp.asarray(logits, jnp.float32) for logits in (conditional, null))
    return conditional + (scale[..., None] - 1) * (conditional - null)


def log_law(logits: Float[Array, "*n V"], sampler: Sampler) -> Float[Array, "*n V"]:
    """log q of every token in nats, float32, -inf for those that are left out."""
    z = jnp.asarray(logits, jnp.float32) / sampler.temperature
    if 0 < sampler.top_k < z.shape[-1]:
        least = jax.lax.top_k(z, sampler.top_k)[0][..., -1:]
        z = jnp.where(z < least, -jnp.inf, z)
    if sampler.top_p < 1:
        p = jax.nn.softmax(z, axis=-1)
        ascending = jnp.sort(p, axis=-1)
        stays = jnp.cumsum(ascending, axis=-1) > 1 - sampler.top_p
        least = jnp.min(jnp.where(stays, ascending, ascending[..., -1:]), axis=-1, keepdims=True)
        z = jnp.where(p < least, -jnp.inf, z)
    return jax.nn.log_softmax(z, axis=-1)


def log_probability(
    logits: Float[Array, "*n V"], tokens: Int[Array, "*n"], sampler: Sampler
) -> Float[Array, "*n"]:
    """log q of `tokens` under `logits`, in nats, float32; -inf for a token that is never drawn."""
    return jnp.take_along_axis(log_law(logits, sampler), tokens[..., None], axis=-1)[..., 0]
