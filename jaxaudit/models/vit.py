"""Parts of plain vision transformers over the patches of an image, which DiT and U-ViT share.

Axes: B batch, h and w pixels (of a latent), c channels, p pixels per side of a patch, L tokens, H heads,
d head width, C width, F hidden units of an MLP.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.layers import Dense
from jaxaudit_kernels.precision import matmul_precision


class PatchEmbed(nn.Module):
    """One linear map of every p × p patch to a token, in raster order.

    Attributes:
      width: C.
      patch_size: p.
      dtype: compute dtype.
      kernel_init: initialiser of the map, for a kernel [p,p,c,C].
    """

    width: int
    patch_size: int
    dtype: DTypeLike
    kernel_init: Initializer

    def setup(self):
        """The layer, named after the released keys."""
        self.proj = _PatchMap(self.width, self.patch_size, self.dtype, self.kernel_init)

    def __call__(self, x: Float[Array, "B h w c"]) -> Float[Array, "B L C"]:
        """Tokens [B,L,C] float32; p must divide h and w."""
        return self.proj(x)


class _PatchMap(nn.Module):
    """A convolution whose stride is the size of its kernel, as a matrix product."""

    width: int
    patch_size: int
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B h w c"]) -> Float[Array, "B L C"]:
        p, channels = self.patch_size, x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (p, p, channels, self.width), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        tokens = jnp.matmul(
            patchify(x, p).astype(self.dtype),
            kernel.reshape(-1, self.width).astype(self.dtype),
            precision=matmul_precision(self.dtype),
            preferred_element_type=jnp.float32,
        )
        return tokens + bias.astype(jnp.float32)[None, None]


def patchify(x: Float[Array, "B h w c"], patch_size: int) -> Float[Array, "B L p*p*c"]:
    """The patches of an image in raster order; the channels of a patch are (row, column, channel)."""
    batch, height, width, channels = x.shape
    p = patch_size
    x = x.reshape(batch, height // p, p, width // p, p, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, p * p * channels)


def unpatchify(tokens: Float[Array, "B L p*p*c"], patch_size: int) -> Float[Array, "B h w c"]:
    """The square image of these patches; inverts `patchify`."""
    batch, length, dim = tokens.shape
    p, side = patch_size, math.isqrt(length)
    x = tokens.reshape(batch, side, side, p, p, dim // (p * p))
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, side * p, side * p, -1)


class SelfAttention(nn.Module):
    """softmax(q kᵀ / √d) v over all tokens, from one packed projection (q, k, v; each head by head).

    Attributes:
      num_heads: H, a divisor of C.
      qkv_bias: whether that projection has a bias.
      dtype: compute dtype.
      kernel_init: initialiser of both maps.
    """

    num_heads: int
    qkv_bias: bool
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """The heads' outputs, mixed by a linear map, float32 [B,L,C]."""
        width, precision = x.shape[-1], matmul_precision(self.dtype)
        qkv = Dense(
            3 * width, use_bias=self.qkv_bias, dtype=self.dtype, kernel_init=self.kernel_init, name="qkv"
        )(x).astype(self.dtype)
        q, k, v = jnp.unstack(qkv.reshape(*x.shape[:2], 3, self.num_heads, -1), axis=2)
        logits = jnp.einsum("bqhd,bkhd->bhqk", q, k, precision=precision, preferred_element_type=jnp.float32)
        weights = nn.softmax(logits * q.shape[-1] ** -0.5, axis=-1).astype(self.dtype)
        out = jnp.einsum(
            "bhqk,bkhd->bqhd", weights, v, precision=precision, preferred_element_type=jnp.float32
        )
        return Dense(width, dtype=self.dtype, kernel_init=self.kernel_init, name="proj")(out.reshape(x.shape))


class MLP(nn.Module):
    """Two linear maps around a GELU; its hidden units are sown as ("activations", "hidden") [B,L,F].

    Attributes:
      hidden: F.
      approximate: tanh form of the GELU instead of the exact one.
      dtype: compute dtype.
      kernel_init: initialiser of both maps.
    """

    hidden: int
    approximate: bool
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """The second map's result, float32 [B,L,C]."""
        hidden = Dense(self.hidden, dtype=self.dtype, kernel_init=self.kernel_init, name="fc1")(x)
        hidden = nn.gelu(hidden, approximate=self.approximate).astype(self.dtype)
        if not self.is_initializing():
            self.sow("activations", "hidden", hidden)
        return Dense(x.shape[-1], dtype=self.dtype, kernel_init=self.kernel_init, name="fc2")(hidden)
