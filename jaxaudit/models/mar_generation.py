"""Iterative generation with MAR.

The tokens of an image are generated in S steps, in any order; after s steps, m_s of the L tokens are hidden:

    m_s = max(1, min(m_{s−1} − 1, ⌊L cos(π s / 2S)⌋)),   m_0 = L,   m_S = 0                            (1)

A step conditions the tokens it generates on all visible ones and draws them independently.
Sources: Li et al., "Autoregressive image generation without vector quantization", NeurIPS 2024
(arXiv 2406.11838), section 3.3; (1): Chang et al., "MaskGIT", CVPR 2022.

Axes: B batch, L tokens, W tokens generated in a step, T sampling steps, C width, D channels of a token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxaudit.errors import InputError
from jaxaudit.models import mar_head
from jaxaudit.models.forward import forward
from jaxaudit.models.mar import MAR, take
from jaxaudit_kernels.processes import respace


def hidden_counts(num_tokens: int, steps: int) -> tuple[int, ...]:
    """(1): tokens still hidden after 0 .. `steps` generation steps.

    Raises:
      InputError: if `steps` is not in 1 .. num_tokens.
    """
    if not 1 <= steps <= num_tokens:
        raise InputError(f"steps={steps} is not in 1..{num_tokens}, the number of tokens.")
    counts = [num_tokens]
    for step in range(1, steps):
        share = math.floor(num_tokens * np.cos(math.pi / 2.0 * step / steps))
        counts.append(max(1, min(counts[-1] - 1, share)))
    return (*counts, 0)


def complete(
    model: MAR,
    params: Mapping[str, Any],
    tokens: Float[Array, "B L D"],
    labels: Int[Array, " B"],
    order: Int[Array, "B L"],
    draw: Callable[[Array, int], tuple[Float[Array, "B W D"], Float[Array, "T B W D"]]],
    *,
    prefix: int,
    steps: int,
    sampling_steps: int,
    temperature: float = 1.0,
    guidance: float = 1.0,
) -> Float[Array, "B L D"]:
    """Keeps the tokens of the first `prefix` generation steps and draws those of the others.

    All steps run as one program: hidden tokens are masked instead of left out.

    Args:
      model: the network.
      params: its parameters.
      tokens: an image's tokens; those of later steps are not read.
      labels: class labels or the null label.
      order: the positions in the order in which they are generated (the published code stores it reversed).
      draw: (step, W) -> `start` and `noises` of `mar_head.sample` for that generation step, where W is the
        largest number of tokens any step generates; a step of w tokens uses the first w.
      prefix: static, 0 .. steps.
      steps: S of (1), static.
      sampling_steps: diffusion steps T per token, static.
      temperature: multiplies the standard deviation of every diffusion step.
      guidance: static scale of classifier-free guidance at the last token; it grows linearly from 1 with the
        share of generated tokens. 1 is none.
    """
    length = model.config.num_tokens
    if prefix == steps:
        return tokens
    visible = length - np.array(hidden_counts(length, steps))  # before every step, and at the end
    width = np.diff(visible)[prefix:].max()
    process = respace(mar_head.TRAINING, sampling_steps)
    head, head_params = model.config.head(model.dtype), params["diffloss"]["net"]
    rows = jnp.arange(len(tokens))[:, None]
    rank = jnp.argsort(order, axis=1)
    order = jnp.pad(order, ((0, 0), (0, width)), constant_values=length)
    views = [labels]
    if guidance != 1.0:
        views.append(jnp.full_like(labels, model.config.num_classes))

    def conditions(tokens: Array, shown: Array, positions: Array) -> list[Array]:
        """z [B,W,C] at the positions, for the label and with guidance for the null label, in one batch."""
        tokens, shown, positions = (jnp.concatenate([x] * len(views)) for x in (tokens, shown, positions))
        every = jnp.broadcast_to(jnp.arange(length), shown.shape)
        h = forward(model, params, tokens, jnp.concatenate(views), every, shown, method="encode")
        z = forward(model, params, h, every, shown, method="decode")
        return jnp.split(take(z, jnp.minimum(positions, length - 1)), len(views))

    def step(tokens: Array, now: tuple[Array, Array, Array]) -> tuple[Array, None]:
        index, begin, end = now
        positions = jax.lax.dynamic_slice_in_dim(order, begin, width, axis=1)
        positions = jnp.where(jnp.arange(width)[None] < end - begin, positions, length)
        z, *null_z = conditions(tokens, rank < begin, positions)
        start, noises = draw(index, int(width))
        new = mar_head.sample(
            head,
            head_params,
            process,
            z,
            start,
            noises,
            temperature=temperature,
            null_z=null_z[0] if null_z else None,
            # The published ramp never counts the last token as generated.
            guidance=1.0 + (guidance - 1.0) * jnp.minimum(end, length - 1) / length,
        )
        return tokens.at[rows, positions].set(new, mode="drop"), None

    tokens = jnp.where((rank < visible[prefix])[..., None], tokens, 0.0)
    indexes = jnp.arange(prefix, steps), jnp.array(visible[prefix:-1]), jnp.array(visible[prefix + 1 :])
    return jax.lax.scan(step, tokens, indexes)[0]
