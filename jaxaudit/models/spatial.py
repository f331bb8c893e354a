"""Layers over the pixels of a feature map, shared by autoencoders and U-Nets.

    GroupNorm(x) = scale · (x − μ) / √(σ² + ε) + bias,   μ, σ² over the pixels and channels of a group    (1)

Source of (1): Wu and He, "Group normalization", ECCV 2018.

Axes: B batch, H height, W width, C channels in, F channels out. NHWC.
"""

from __future__ import annotations

import math

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit_kernels.precision import matmul_precision

Padding = tuple[tuple[int, int], tuple[int, int]]

# The stride-2 convolutions see one row of zeros below and one column to the right, none above or left.
BOTTOM_RIGHT: Padding = ((0, 1), (0, 1))


class Conv(nn.Module):
    """A convolution with "same" zero padding unless `padding` says otherwise.

    Attributes:
      features: output channels.
      kernel_size: height and width of the kernel.
      strides: step in both directions.
      padding: ((top, bottom), (left, right)) zeros; default (kernel_size - 1) / 2 on every side.
      use_bias: whether a bias is added.
      dtype: compute dtype; sums run in float32.
    """

    features: int
    kernel_size: int = 3
    strides: int = 1
    padding: Padding | None = None
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """The convolution of x, in `dtype`."""
        size, half = self.kernel_size, self.kernel_size // 2
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (size, size, x.shape[-1], self.features), jnp.float32
        )
        y = jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            window_strides=(self.strides, self.strides),
            padding=self.padding or ((half, half), (half, half)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=matmul_precision(self.dtype),
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias[None, None, None].astype(self.dtype)
        return y


class GroupNorm(nn.Module):
    """Group normalisation; 32 groups, or the largest divisor of C that also divides 32.

    Attributes:
      dtype: of the result; statistics are taken in float32.
      eps: added to the variance.
    """

    dtype: DTypeLike = jnp.float32
    eps: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """x normalised over the pixels and channels of each group, then scaled and shifted, in `dtype`."""
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        width = channels // math.gcd(32, channels)
        x = x.astype(jnp.float32)

        def group_mean(per_pixel: Array) -> Array:
            """[B,H,W,C] -> [B,1,1,C]; pixels first, because short reductions are slow."""
            means = einops.reduce(per_pixel.mean((1, 2)), "b (g c) -> b g", "mean", c=width)
            return einops.repeat(means, "b g -> b 1 1 (g c)", c=width)

        mean = group_mean(x)
        scale = scale[None, None, None] * jax.lax.rsqrt(group_mean(jnp.square(x - mean)) + self.eps)
        return (x * scale + (bias[None, None, None] - mean * scale)).astype(self.dtype)


class Upsample(nn.Module):
    """Doubles the resolution: nearest neighbours, then a convolution."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """The upsampled x, in `dtype`."""
        x = einops.repeat(x, "b h w c -> b (h 2) (w 2) c")
        return Conv(x.shape[-1], dtype=self.dtype, name="conv")(x)
