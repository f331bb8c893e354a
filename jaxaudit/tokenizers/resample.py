"""Resampling of square feature maps as products with constant matrices.

Both separable filters are linear, so y = R x Rᵀ per channel, with one row of R per output pixel:

    area     row i averages the inputs ⌊i n/N⌋ .. ⌈(i+1) n/N⌉ - 1                                  (1)
    bicubic  row i holds the cubic kernel (a = -3/4) at the four inputs around (i + ½) n/N - ½,
             inputs beyond the border repeated, no antialiasing                                     (2)

n inputs, N outputs per side. These are PyTorch's "area" and "bicubic" modes (align_corners=False);
`jax.image.resize` uses a = -1/2 and renormalises at the border instead.
Source of (2): Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. (4).

Axes: B batch, H pixels per side, N pixels per side of the result, C channels.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def area(x: Float[Array, "B H H C"], size: int) -> Float[Array, "B {size} {size} C"]:
    """The square maps x [B,n,n,C] averaged down to [B,size,size,C] float32, by (1)."""
    return _resample(x, _area_matrix(x.shape[1], size))


def bicubic(x: Float[Array, "B H H C"], size: int) -> Float[Array, "B {size} {size} C"]:
    """The square maps x [B,n,n,C] interpolated to [B,size,size,C] float32, by (2)."""
    return _resample(x, _bicubic_matrix(x.shape[1], size))


def _resample(x: Float[Array, "B H H C"], matrix: Float[np.ndarray, "N H"]) -> Float[Array, "B N N C"]:
    if matrix.shape[0] == matrix.shape[1]:  # both filters are the identity then
        return x
    weights = jnp.asarray(matrix)
    highest = jax.lax.Precision.HIGHEST  # token choices hang on these sums
    return jnp.einsum("ih,jw,bhwc->bijc", weights, weights, x.astype(jnp.float32), precision=highest)


@functools.cache
def _area_matrix(inputs: int, outputs: int) -> np.ndarray:
    matrix = np.zeros((outputs, inputs), np.float32)
    for i in range(outputs):
        first, end = i * inputs // outputs, -(-(i + 1) * inputs // outputs)
        matrix[i, first:end] = 1 / (end - first)
    return matrix


@functools.cache
def _bicubic_matrix(inputs: int, outputs: int) -> np.ndarray:
    matrix = np.zeros((outputs, inputs))
    for i in range(outputs):
        source = (i + 0.5) * inputs / outputs - 0.5
        for tap in range(math.floor(source) - 1, math.floor(source) + 3):
            matrix[i, min(max(tap, 0), inputs - 1)] += _cubic(abs(source - tap))
    return matrix.astype(np.float32)


def _cubic(distance: float) -> float:
    """Keys' kernel with a = -3/4 at a distance in 0..2."""
    a, d = -0.75, distance
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return a * (((d - 5) * d + 8) * d - 4)
