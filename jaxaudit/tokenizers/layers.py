"""Convolution blocks of the CompVis autoencoders, shared by the VQ and KL tokenizers.

    ResBlock(x)  = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))))))
    AttnBlock(x) = x + proj(softmax(q kᵀ / √C) v),   q, k, v 1×1 convolutions of norm(x), one head

Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022.
Parameter paths follow the published PyTorch keys, list indexes joined by an underscore
(`encoder.down.0.block.1.conv1.weight` is `encoder/down_0/block_1/conv1/kernel`).

Axes: B batch, H height, W width, C channels. NHWC.
"""

from __future__ import annotations

import math

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.attention import attention
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
    """Group normalisation with eps 1e-6.

    Attributes:
      num_groups: of channels; there are as many as the largest number that divides this one and C.
      dtype: of the result; statistics are taken in float32.
    """

    num_groups: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """x normalised over the pixels and channels of each group, then scaled and shifted, in `dtype`."""
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        width = channels // math.gcd(self.num_groups, channels)
        x = x.astype(jnp.float32)

        def group_mean(per_pixel: Array) -> Array:
            """[B,H,W,C] -> [B,1,1,C]; pixels first, because short reductions are slow."""
            means = einops.reduce(per_pixel.mean((1, 2)), "b (g c) -> b g", "mean", c=width)
            return einops.repeat(means, "b g -> b 1 1 (g c)", c=width)

        mean = group_mean(x)
        scale = scale[None, None, None] * jax.lax.rsqrt(group_mean(jnp.square(x - mean)) + 1e-6)
        return (x * scale + (bias[None, None, None] - mean * scale)).astype(self.dtype)


class ResBlock(nn.Module):
    """Two normalised 3×3 convolutions around a shortcut, which is a 1×1 convolution if C changes."""

    features: int
    num_groups: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W F"]:
        """The block's output, in `dtype`."""
        h = nn.silu(GroupNorm(self.num_groups, dtype=self.dtype, name="norm1")(x))
        h = Conv(self.features, dtype=self.dtype, name="conv1")(h)
        h = nn.silu(GroupNorm(self.num_groups, dtype=self.dtype, name="norm2")(h))
        h = Conv(self.features, dtype=self.dtype, name="conv2")(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, kernel_size=1, dtype=self.dtype, name="nin_shortcut")(x)
        return x + h


class AttnBlock(nn.Module):
    """Single-head self-attention over all pixels.

    Attributes:
      fused_qkv: one 1×1 convolution `qkv` (VAR's tokenizer) or three, `q`, `k` and `v` (CompVis).
      num_groups: see `GroupNorm`.
      dtype: compute dtype; the softmax runs in float32.
    """

    fused_qkv: bool = False
    num_groups: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """x plus the attention's projected output, in `dtype`."""
        channels = x.shape[-1]

        def pixelwise(name: str, features: int) -> Conv:
            return Conv(features, kernel_size=1, dtype=self.dtype, name=name)

        h = GroupNorm(self.num_groups, dtype=self.dtype, name="norm")(x)
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


class Upsample(nn.Module):
    """Doubles the resolution: nearest neighbours, then a convolution."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """The upsampled x, in `dtype`."""
        x = einops.repeat(x, "b h w c -> b (h 2) (w 2) c")
        return Conv(x.shape[-1], dtype=self.dtype, name="conv")(x)


class _Level(nn.Module):
    """The blocks of one resolution: `num_blocks` ResBlocks, each followed by attention where asked."""

    features: int
    num_blocks: int
    attention: bool
    fused_qkv: bool
    num_groups: int
    resample: type[Downsample] | type[Upsample] | None
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        for i in range(self.num_blocks):
            x = ResBlock(self.features, self.num_groups, self.dtype, name=f"block_{i}")(x)
            if self.attention:
                x = AttnBlock(self.fused_qkv, self.num_groups, self.dtype, name=f"attn_{i}")(x)
        if self.resample is not None:
            x = self.resample(dtype=self.dtype, name=self.resample.__name__.lower())(x)
        return x


class _Middle(nn.Module):
    """ResBlock, attention, ResBlock at the lowest resolution."""

    attention: bool
    fused_qkv: bool
    num_groups: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        x = ResBlock(x.shape[-1], self.num_groups, self.dtype, name="block_1")(x)
        if self.attention:
            x = AttnBlock(self.fused_qkv, self.num_groups, self.dtype, name="attn_1")(x)
        return ResBlock(x.shape[-1], self.num_groups, self.dtype, name="block_2")(x)


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
      num_groups: see `GroupNorm`.
      dtype: compute dtype.
    """

    ch: int
    ch_mult: tuple[float, ...]
    num_res_blocks: int
    out_channels: int
    attention_levels: tuple[int, ...] = ()
    mid_attention: bool = True
    fused_qkv: bool = False
    num_groups: int = 32
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
                self.num_groups,
                Downsample if level < len(self.ch_mult) - 1 else None,
                self.dtype,
                name=f"down_{level}",
            )(h)
        h = _Middle(self.mid_attention, self.fused_qkv, self.num_groups, self.dtype, name="mid")(h)
        h = nn.silu(GroupNorm(self.num_groups, dtype=self.dtype, name="norm_out")(h))
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
    num_groups: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """The pictures of `features`, not clamped, in `dtype`."""
        h = Conv(round(self.ch * self.ch_mult[-1]), dtype=self.dtype, name="conv_in")(features)
        h = _Middle(self.mid_attention, self.fused_qkv, self.num_groups, self.dtype, name="mid")(h)
        for level in reversed(range(len(self.ch_mult))):
            h = _Level(
                round(self.ch * self.ch_mult[level]),
                self.num_res_blocks + 1,
                level in self.attention_levels,
                self.fused_qkv,
                self.num_groups,
                Upsample if level > 0 else None,
                self.dtype,
                name=f"up_{level}",
            )(h)
        h = nn.silu(GroupNorm(self.num_groups, dtype=self.dtype, name="norm_out")(h))
        return Conv(self.out_channels, dtype=self.dtype, name="conv_out")(h)
