"""Images as tokens: every p × p patch of pixels (of a latent) is one token, in raster order.

A patch has p · p · c numbers, and families disagree on their order, so that it is always named.

Axes: B batch, h and w pixels, c channels, p and q row and column inside a patch, L tokens, D = p q c numbers
of a token, C width.
"""

from __future__ import annotations

import math
from typing import Literal

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.layers import matmul

PatchOrder = Literal["p q c", "c p q"]
"""The numbers of a patch from the slowest to the fastest axis: (row, column, channel) or channel first."""


def patchify(x: Float[Array, "B h w c"], patch_size: int, order: PatchOrder) -> Float[Array, "B L D"]:
    """The patches of an image, each flattened in this order; `patch_size` must divide h and w."""
    p = patch_size
    return einops.rearrange(x, f"b (h p) (w q) c -> b (h w) ({order})", p=p, q=p)


def unpatchify(tokens: Float[Array, "B L D"], patch_size: int, order: PatchOrder) -> Float[Array, "B h h c"]:
    """The square image of these patches; inverts `patchify`."""
    p, side = patch_size, math.isqrt(tokens.shape[1])
    return einops.rearrange(tokens, f"b (h w) ({order}) -> b (h p) (w q) c", h=side, p=p, q=p)


class PatchEmbed(nn.Module):
    """One linear map of every patch to a token.

    Attributes:
      width: C.
      patch_size: p.
      dtype: compute dtype.
      kernel_init: initialiser of the map, for a kernel [p,q,c,C].
    """

    width: int
    patch_size: int
    dtype: DTypeLike
    kernel_init: Initializer

    def setup(self):
        """The layer, named after the released keys."""
        self.proj = _PatchMap(self.width, self.patch_size, self.dtype, self.kernel_init)

    def __call__(self, x: Float[Array, "B h w c"]) -> Float[Array, "B L C"]:
        """Tokens float32; p must divide h and w."""
        return self.proj(x)


class _PatchMap(nn.Module):
    """A convolution whose stride is the size of its kernel, as a matrix product."""

    width: int
    patch_size: int
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B h w c"]) -> Float[Array, "B L C"]:
        p = self.patch_size
        kernel = self.param("kernel", self.kernel_init, (p, p, x.shape[-1], self.width), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        matrix = einops.rearrange(kernel, "p q c width -> (p q c) width")
        return matmul(patchify(x, p, "p q c"), matrix, self.dtype) + bias.astype(jnp.float32)[None, None]
