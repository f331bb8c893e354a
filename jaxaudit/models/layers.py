"""Layers that transformer families share.

Axes: ... any, C channels in, F features out.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num

from jaxaudit_kernels.precision import matmul_precision
from jaxaudit_kernels.time_embedding import timestep_embedding

LOW_RANK = ("down", "up")
"""Names of the factors A [C,r] and B [r,F] that may stand beside a `Dense` layer's kernel."""
_TIME_CHANNELS = 256


def matmul(x: Float[Array, "... C"], matrix: Float[Array, "C F"], dtype: DTypeLike) -> Float[Array, "... F"]:
    """x W with operands in `dtype` and the sum, hence the result, in float32."""
    return jnp.matmul(
        x.astype(dtype),
        matrix.astype(dtype),
        precision=matmul_precision(dtype),
        preferred_element_type=jnp.float32,
    )


class Dense(nn.Module):
    """x W + b with operands in `dtype` and the sum, hence the result, in float32.

    Where its parameters also hold the factors `LOW_RANK`, x W + (x A) B + b.

    Attributes:
      features: F.
      use_bias: whether b is there.
      dtype: compute dtype.
      kernel_init: initialiser of W; b starts at zero.
    """

    features: int
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Float[Array, "... C"]) -> Float[Array, "... F"]:
        """The affine map of x [...,C], float32 [...,F]."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), jnp.float32)
        y = matmul(x, kernel, self.dtype)
        if self.has_variable("params", LOW_RANK[0]):
            down, up = (self.get_variable("params", name) for name in LOW_RANK)
            y = y + matmul(matmul(x, down, self.dtype), up, self.dtype)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(jnp.float32).reshape((1,) * (y.ndim - 1) + (-1,))
        return y


def layer_norm(x: Float[Array, "... C"], *, eps: float = 1e-6) -> Float[Array, "... C"]:
    """x [...,C] with zero mean and unit variance over C, without learned parameters, float32."""
    x = x.astype(jnp.float32)
    centred = x - x.mean(-1, keepdims=True)
    return centred * (jnp.square(centred).mean(-1, keepdims=True) + eps) ** -0.5


def affine_norm(*, eps: float = 1e-6, name: str | None = None) -> nn.LayerNorm:
    """`layer_norm` followed by a learned scale and bias, float32."""
    return nn.LayerNorm(epsilon=eps, use_fast_variance=False, name=name)


def unit_length(x: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """x / max(‖x‖, 1e-12) over the last axis."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))


class TimeEmbedding(nn.Module):
    """A small MLP over the sinusoids of a diffusion time.

    Attributes:
      width: F.
      dtype: compute dtype.
      channels: number of sinusoids, even.
    """

    width: int
    dtype: DTypeLike
    channels: int = _TIME_CHANNELS

    @nn.compact
    def __call__(self, t: Num[Array, "..."]) -> Float[Array, "... F"]:
        """The embedding of the times t, float32."""
        normal = nn.initializers.normal(0.02)
        h = timestep_embedding(t, self.channels)
        h = nn.silu(Dense(self.width, dtype=self.dtype, kernel_init=normal, name="mlp_0")(h))
        return Dense(self.width, dtype=self.dtype, kernel_init=normal, name="mlp_2")(h)
