"""Convolutions, and batch normalisation by fixed statistics, as at inference.

    BatchNorm(x) = scale · (x − running_mean) / √(running_var + ε) + bias                                (1)

Source of (1): Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 2.

Axes: B batch, H height, W width, C channels in, F channels out. NHWC.
"""

from __future__ import annotations

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit_kernels.precision import matmul_precision


class Conv(nn.Module):
    """A convolution without bias.

    Attributes:
      features: F.
      kernel_size: height and width of the kernel.
      strides: step in both directions.
      padding: zeros above and below, left and right; default (kernel_size - 1) / 2.
      groups: channels are mixed within so many equal groups only.
      dtype: compute dtype.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: int = 1
    padding: tuple[int, int] | None = None
    groups: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """The convolution of x, in `dtype`."""
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        padding = self.padding or tuple(size // 2 for size in self.kernel_size)
        return jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            window_strides=(self.strides, self.strides),
            padding=[(zeros, zeros) for zeros in padding],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
            precision=matmul_precision(self.dtype),
        )


class DepthwiseConv(nn.Module):
    """A convolution of each channel by itself, with a bias, zeros around the image; float32.

    It is a sum of shifted images, which the compiler fuses: for 7 × 7 pixels and 480 channels 60 times as
    fast on a CPU as the grouped convolution that XLA has there.

    Attributes:
      kernel_size: height and width of the kernel, odd.
      kernel_init: initialiser of the kernel [k,k,1,C].
    """

    kernel_size: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The convolution of x, float32."""
        size, (_, height, width, channels) = self.kernel_size, x.shape
        kernel = self.param("kernel", self.kernel_init, (size, size, 1, channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        zeros = (size // 2, size // 2)
        padded = jnp.pad(x.astype(jnp.float32), ((0, 0), zeros, zeros, (0, 0)))
        kernel, total = kernel.astype(jnp.float32), bias.astype(jnp.float32)[None, None, None]
        for i, j in itertools.product(range(size), repeat=2):
            total = total + padded[:, i : i + height, j : j + width] * kernel[i, j][None, None]
        return total


class BatchNorm(nn.Module):
    """Batch normalisation (1) with the running statistics, which are parameters like any other.

    Attributes:
      eps: ε.
      dtype: of the result; the normalisation runs in float32.
    """

    eps: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The normalised x, in `dtype`."""
        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        scale, bias, mean, var = (
            self.param(name, init, (x.shape[-1],), jnp.float32).astype(jnp.float32)
            for name, init in (
                ("scale", ones),
                ("bias", zeros),
                ("running_mean", zeros),
                ("running_var", ones),
            )
        )
        scale = scale * (var + self.eps) ** -0.5
        shift = bias - mean * scale
        return (x.astype(jnp.float32) * scale[None, None, None] + shift[None, None, None]).astype(self.dtype)
