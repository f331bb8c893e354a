"""Rotary positions of the cells of a square grid.

A query or key x has d channels, which are turned in pairs of neighbours by angles that grow with its cell:

    y_{2i}     = cos θ_i · x_{2i}     − sin θ_i · x_{2i+1}
    y_{2i + 1} = cos θ_i · x_{2i + 1} + sin θ_i · x_{2i}                 i < d / 2          (1)
    θ_i = row · ω_i  for i < d / 4,   column · ω_{i − d/4}  for the others                  (2)
    ω_j = 10000^{−4 j / d}                                                                  (3)

so that q · k depends on how far apart two cells are. Positions that are no cell have a row of their own.

Source: Su et al., "RoFormer", arXiv 2104.09864, (34), in both directions of a picture.

Axes: B batch, H heads, T positions, d head width, P = d / 2 pairs, N = side² cells in raster order.
"""

from __future__ import annotations

import einops
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_BASE = 10_000


def rotations(side: int, head_width: int) -> Float[np.ndarray, "N P 2"]:
    """cos θ and sin θ of every cell, float32.

    Args:
      side: cells per side.
      head_width: d, a multiple of four.
    """
    frequencies = float(_BASE) ** (-4 * np.arange(head_width // 4) / head_width)
    angles = np.arange(side)[:, None] * frequencies
    of_row = einops.repeat(angles, "row j -> row column j", column=side)
    of_column = einops.repeat(angles, "column j -> row column j", row=side)
    theta = einops.rearrange([of_row, of_column], "half row column j -> (row column) (half j)")
    return np.stack([np.cos(theta), np.sin(theta)], axis=-1).astype(np.float32)


def rotate(x: Float[Array, "B H T d"], rotation: Float[Array, "T P 2"]) -> Float[Array, "B H T d"]:
    """(1), float32, with the cosine and sine of every position."""
    even, odd = jnp.unstack(einops.rearrange(x.astype(jnp.float32), "b h t (p two) -> two b h t p", two=2))
    cos, sin = rotation[None, None, ..., 0], rotation[None, None, ..., 1]
    turned = jnp.stack([cos * even - sin * odd, cos * odd + sin * even])
    return einops.rearrange(turned, "two b h t p -> b h t (p two)")
