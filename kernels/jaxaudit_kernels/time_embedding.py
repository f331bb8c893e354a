"""What the time of a diffusion or flow model is turned into before its network reads it.

Axes: ... any, C channels.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Num


def timestep_embedding(t: Num[Array, "..."], dim: int) -> Float[Array, "... C"]:
    """float32 [...,dim]: cosines, then sines, of t at the frequencies 10⁴^(−i / half), half = dim // 2.

    Source: Vaswani et al. 2017, in the order of Ho et al. 2020.
    """
    half = dim // 2
    frequencies = jnp.exp(-math.log(1e4) * jnp.arange(half, dtype=jnp.float32) / half)
    angles = t[..., None].astype(jnp.float32) * frequencies.reshape((1,) * jnp.ndim(t) + (half,))
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
