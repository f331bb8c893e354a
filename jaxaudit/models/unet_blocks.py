"""The parts of latent diffusion's U-Net: residual blocks told the time, and transformers told the context.

    ResBlock(x, e) = shortcut(x) + conv₂(silu(norm(conv₁(silu(norm(x))) + linear(e))))                 (1)

A transformer sees the pixels of a feature map as tokens y = linear(norm(x)), and adds linear(y) to x after

    y ← y + attention(norm(y), norm(y));   y ← y + attention(norm(y), c);   y ← y + mlp(norm(y))        (2)
    attention(y, c) = W_o softmax(s (W_q y) (W_k c)ᵀ) W_v c + b_o                                       (3)
    attention(y, c) = W_o W_v c + b_o             for a context c of one token                          (4)

(4) is (3): a softmax over one key is 1, so W_q, W_k and the norm before them do nothing, get no gradient, and
are not among the parameters. The MLP is a GEGLU (`jaxaudit.models.mlp`).
Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022
(arXiv 2112.10752), §3.3 and appendix E.2.

Axes: B batch, H height, W width, C channels in, F channels out, L tokens (pixels), T tokens and D channels of
a context, E channels of the time's embedding. NHWC.
"""

from __future__ import annotations

import functools

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.attention import attention, block_causal_attention, merge_heads
from jaxaudit.models.attention_backend import AttentionBackend, narrow_enough
from jaxaudit.models.layers import Dense, affine_norm
from jaxaudit.models.mlp import GatedMLP
from jaxaudit.models.spatial import Conv, GroupNorm

_NORM_EPS = 1e-5
_TRANSFORMER_EPS = 1e-6  # of a transformer's first norm
_GELU = functools.partial(nn.gelu, approximate=False)
_INIT = nn.initializers.lecun_normal()
_PADDING = ((1, 1), (1, 1))


def norm_silu(x: Float[Array, "B H W C"], dtype: DTypeLike, name: str) -> Float[Array, "B H W C"]:
    """silu(norm(x)) in `dtype`; for the calling module, whose parameters the norm's are, called `name`."""
    return nn.silu(GroupNorm(dtype, _NORM_EPS, name=name)(x))


class ResBlock(nn.Module):
    """(1); the shortcut is a 1 × 1 convolution where C changes.

    Attributes:
      features: F.
      dtype: compute dtype; what is added up is float32.
    """

    features: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], e: Float[Array, "B E"]) -> Float[Array, "B H W F"]:
        """(1), float32; `e` is what the time has become."""
        h = Conv(self.features, dtype=self.dtype, name="conv1")(norm_silu(x, self.dtype, "norm1"))
        h = h + Dense(self.features, dtype=self.dtype, name="time")(e)[:, None, None]
        h = Conv(self.features, dtype=self.dtype, name="conv2")(norm_silu(h, self.dtype, "norm2"))
        if x.shape[-1] != self.features:
            x = Conv(self.features, kernel_size=1, dtype=self.dtype, name="shortcut")(x)
        return x.astype(jnp.float32) + h.astype(jnp.float32)


class Downsample(nn.Module):
    """Halves the resolution by a stride-2 convolution padded on all sides, unlike the autoencoders'."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """The downsampled x, float32."""
        conv = Conv(x.shape[-1], strides=2, padding=_PADDING, dtype=self.dtype, name="conv")
        return conv(x).astype(jnp.float32)


class Attention(nn.Module):
    """(3).

    Attributes:
      num_heads: a divisor of C.
      dtype: compute dtype.
      backend: what computes the attention of all tokens to each other.
    """

    num_heads: int
    dtype: DTypeLike
    backend: AttentionBackend

    @nn.compact
    def __call__(
        self, y: Float[Array, "B L C"], context: Float[Array, "B T D"] | None = None
    ) -> Float[Array, "B L C"]:
        """(3), float32; without a context the tokens attend to each other."""
        width = y.shape[-1]
        source = y if context is None else context

        def heads(x: Array, name: str) -> Array:
            x = Dense(width, use_bias=False, dtype=self.dtype, name=name)(x).astype(self.dtype)
            return einops.rearrange(x, "b l (h d) -> b l h d", h=self.num_heads)

        q, k, v = heads(y, "to_q"), heads(source, "to_k"), heads(source, "to_v")
        if context is None:
            out = block_causal_attention(q, k, v, q.shape[1:2], layout="b l h d", backend=self.backend)
        else:
            out = attention(q, k, v, layout="b l h d")
        return Dense(width, dtype=self.dtype, name="to_out")(merge_heads(out, "b l h d"))


class AttentionToOne(nn.Module):
    """(4).

    Attributes:
      width: C.
      dtype: compute dtype.
    """

    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, context: Float[Array, "B 1 D"]) -> Float[Array, "B 1 C"]:
        """What every token is given, float32."""
        value = Dense(self.width, use_bias=False, dtype=self.dtype, name="to_v")(context)
        return Dense(self.width, dtype=self.dtype, name="to_out")(value)


class Transformer(nn.Module):
    """(2), around which x is a residual.

    Attributes:
      num_heads: a divisor of C.
      dtype: compute dtype; what is added up is float32.
      attention_backend: what computes the attention of all tokens to each other, where it can.
    """

    num_heads: int
    dtype: DTypeLike
    attention_backend: AttentionBackend

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], context: Float[Array, "B T D"]) -> Float[Array, "B H W C"]:
        """The feature map after the transformer, float32."""
        height, width, channels = x.shape[1:]
        backend = narrow_enough(
            self.attention_backend, dtype=self.dtype, head_width=channels // self.num_heads
        )
        linear = functools.partial(Dense, channels, dtype=self.dtype)
        norm = functools.partial(affine_norm, eps=_NORM_EPS)
        h = GroupNorm(self.dtype, _TRANSFORMER_EPS, name="norm")(x)
        y = linear(name="proj_in")(einops.rearrange(h, "b h w c -> b (h w) c"))
        y = y + Attention(self.num_heads, self.dtype, backend, name="attn1")(norm(name="norm1")(y))
        if context.shape[1] == 1:
            y = y + AttentionToOne(channels, self.dtype, name="attn2")(context)
        else:
            told = Attention(self.num_heads, self.dtype, backend, name="attn2")
            y = y + told(norm(name="norm2")(y), context)
        mlp = GatedMLP(4 * channels, _GELU, True, self.dtype, _INIT, name="mlp")
        y = linear(name="proj_out")(y + mlp(norm(name="norm3")(y)))
        return x + einops.rearrange(y, "b (h w) c -> b h w c", h=height, w=width)
