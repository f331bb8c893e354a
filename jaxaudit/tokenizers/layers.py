"""Convolution blocks of the CompVis autoencoders, shared by the VQ and KL tokenizers.

    ResBlock(x)  = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))))))
    AttnBlock(x) = x + proj(softmax(q kᵀ / √C) v),   q, k, v 1×1 convolutions of norm(x), one head

Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022.
Parameter paths follow the published PyTorch keys, list indexes joined by an underscore
(`encoder.down.0.block.1.conv1.weight` is `encoder/down_0/block_1/conv1/kernel`).

Axes: B batch, H height, W width, C channels. NHWC.
"""

from __future__ import annotations

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.attention import attention
from jaxaudit.models.spatial import BOTTOM_RIGHT, Conv, GroupNorm, Upsample


class ResBlock(nn.Module):
    """Two normalised 3×3 convolutions around a shortcut, which is a 1×1 convolution if C changes."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W F"]:
        """The block's output, in `dtype`."""
        h = nn.silu(GroupNorm(dtype=self.dtype, name="norm1")(x))
        h = Conv(self.features, dtype=self.dtype, name="conv1")(h)
        h = nn.silu(GroupNorm(dtype=self.dtype, name="norm2")(h))
        h = Conv(self.features, dtype=self.dtype, name="conv2")(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, kernel_size=1, dtype=self.dtype, name="nin_shortcut")(x)
        return x + h


class AttnBlock(nn.Module):
    """Single-head self-attention over all pixels.

    Attributes:
      fused_qkv: one 1×1 convolution `qkv` (VAR's tokenizer) or three, `q`, `k` and `v` (CompVis).
      dtype: compute dtype; the softmax runs in float32.
    """

    fused_qkv: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """x plus the attention's projected output, in `dtype`."""
        channels = x.shape[-1]

        def pixelwise(name: str, features: int) -> Conv:
            return Conv(features, kernel_size=1, dtype=self.dtype, name=name)

        h = GroupNorm(dtype=self.dtype, name="norm")(x)
        if self.fused_qkv:
            q, k, v = jnp.split(pixelwise("qkv", 3 * channels)(h), 3, axis=-1)
        else:
            q, k, v = (pixelwise(name, channels)(h) for name in "qkv")
        q, k, v = (einops.rearrange(part, "b h w c -> b 1 (h w) c") for part in (q, k, v))
        h = einops.rearrange(attention(q, k, v, layout="b h l d"), "b 1 (h w) c -> b h w c", h=x.shape[1])
        return x + pixelwise("proj_out", channels)(h)


class Downsample(nn.Module):
    """Halves the resolution by a stride-2 convolution padded below and to the right only."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """The downsampled x, in `dtype`."""
        return Conv(x.shape[-1], strides=2, padding=BOTTOM_RIGHT, dtype=self.dtype, name="conv")(x)


class _Level(nn.Module):
    """The blocks of one resolution: `num_blocks` ResBlocks, each followed by attention where asked."""

    features: int
    num_blocks: int
    attention: bool
    fused_qkv: bool
    resample: type[Downsample] | type[Upsample] | None
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        for i in range(self.num_blocks):
            x = ResBlock(self.features, dtype=self.dtype, name=f"block_{i}")(x)
            if self.attention:
                x = AttnBlock(self.fused_qkv, dtype=self.dtype, name=f"attn_{i}")(x)
        if self.resample is not None:
            x = self.resample(dtype=self.dtype, name=self.resample.__name__.lower())(x)
        return x


class _Middle(nn.Module):
    """ResBlock, attention, ResBlock at the lowest resolution."""

    attention: bool
    fused_qkv: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        x = ResBlock(x.shape[-1], dtype=self.dtype, name="block_1")(x)
        if self.attention:
            x = AttnBlock(self.fused_qkv, dtype=self.dtype, name="attn_1")(x)
        return ResBlock(x.shape[-1], dtype=self.dtype, name="block_2")(x)


class Encoder(nn.Module):
    """Pictures to features at 1 / 2^(levels - 1) of their resolution.

    Attributes:
      ch: channels of the first convolution.
      ch_mult: channels of each level, in units of `ch`; the resolution halves between levels.
      num_res_blocks: ResBlocks per level.
      out_channels: channels of the result.
      attention_levels: the levels whose ResBlocks are followed by attention (0 is the full resolution).
      mid_attention: whether the middle has attention.
      fused_qkv: see `AttnBlock`.
      dtype: compute dtype.
    """

    ch: int
    ch_mult: tuple[float, ...]
    num_res_blocks: int
    out_channels: int
    attention_levels: tuple[int, ...] = ()
    mid_attention: bool = True
    fused_qkv: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """The features of `images`, in `dtype`."""
        h = Conv(self.ch, dtype=self.dtype, name="conv_in")(images)
        for level, mult in enumerate(self.ch_mult):
            h = _Level(
                round(self.ch * mult),
                self.num_res_blocks,
                level in self.attention_levels,
                self.fused_qkv,
                Downsample if level < len(self.ch_mult) - 1 else None,
                self.dtype,
                name=f"down_{level}",
            )(h)
        h = _Middle(self.mid_attention, self.fused_qkv, self.dtype, name="mid")(h)
        h = nn.silu(GroupNorm(dtype=self.dtype, name="norm_out")(h))
        return Conv(self.out_channels, dtype=self.dtype, name="conv_out")(h)


class Decoder(nn.Module):
    """Features back to pictures at 2^(levels - 1) times their resolution.

    Attributes are those of `Encoder`; every level has one ResBlock more, and `up_0` is the full resolution.
    """

    ch: int
    ch_mult: tuple[float, ...]
    num_res_blocks: int
    out_channels: int = 3
    attention_levels: tuple[int, ...] = ()
    mid_attention: bool = True
    fused_qkv: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """The pictures of `features`, not clamped, in `dtype`."""
        h = Conv(round(self.ch * self.ch_mult[-1]), dtype=self.dtype, name="conv_in")(features)
        h = _Middle(self.mid_attention, self.fused_qkv, self.dtype, name="mid")(h)
        for level in reversed(range(len(self.ch_mult))):
            h = _Level(
                round(self.ch * self.ch_mult[level]),
                self.num_res_blocks + 1,
                level in self.attention_levels,
                self.fused_qkv,
                Upsample if level > 0 else None,
                self.dtype,
                name=f"up_{level}",
            )(h)
        h = nn.silu(GroupNorm(dtype=self.dtype, name="norm_out")(h))
        return Conv(self.out_channels, dtype=self.dtype, name="conv_out")(h)
