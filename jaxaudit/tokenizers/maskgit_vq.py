"""The MaskGIT-VQGAN tokenizer of RAR.

A convolutional autoencoder without attention around one codebook. With features z [h,w,C] and codes e:

    t = argmin_v ‖z - e_v‖²          per pixel, raster order                                       (1)
    x̂ = clip(decoder(e[t]), 0, 1)                                                                  (2)

Its residual block keeps a peculiarity of the released weights: where the number of channels changes, the
shortcut is a 1×1 convolution of the block's own output, and the block's input is dropped:

    y = conv2(silu(norm2(conv1(silu(norm1(x))))))
    ResBlock(x) = y + x   if the channels stay, else   y + conv1×1(y)                              (3)

Sources: Chang et al., "MaskGIT: masked generative image transformer", CVPR 2022; Esser et al., "Taming
transformers for high-resolution image synthesis", CVPR 2021; weights released with RAR (arXiv 2411.00776).

Axes: B batch, L tokens, H and W pixels, h and w feature pixels, C channels of a code, F features of a layer.
"""

from __future__ import annotations

import dataclasses

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.models.spatial import Conv, GroupNorm
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers.codebook import look_up, nearest, raster


@dataclasses.dataclass(frozen=True)
class MaskGITVQConfig:
    """Shape of a MaskGIT-VQGAN tokenizer; the defaults are the released one.

    Attributes:
      vocab_size: number of codes.
      z_channels: channels of a code.
      ch: channels of the first convolution.
      ch_mult: channels of each level in units of `ch`; the resolution halves between levels.
      num_res_blocks: ResBlocks per level and in the middle.
      side: tokens per side of a picture.
    """

    vocab_size: int = 1024
    z_channels: int = 256
    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    side: int = 16

    @property
    def image_size(self) -> int:
        """Height and width of the pictures, pixels."""
        return self.side * 2 ** (len(self.ch_mult) - 1)

    @property
    def num_tokens(self) -> int:
        """L, the tokens of one picture."""
        return self.side**2


class _ResBlock(nn.Module):
    """Equation (3)."""

    features: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W F"]:
        h = nn.silu(GroupNorm(dtype=self.dtype, name="norm1")(x))
        h = Conv(self.features, use_bias=False, dtype=self.dtype, name="conv1")(h)
        h = nn.silu(GroupNorm(dtype=self.dtype, name="norm2")(h))
        h = Conv(self.features, use_bias=False, dtype=self.dtype, name="conv2")(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, 1, use_bias=False, dtype=self.dtype, name="nin_shortcut")(h)
        return h + x


class _Level(nn.Module):
    """The ResBlocks of one resolution and, in the decoder, the step to the next higher one."""

    features: int
    num_blocks: int
    upsample: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        for i in range(self.num_blocks):
            x = _ResBlock(self.features, self.dtype, name=f"block_{i}")(x)
        if self.upsample:
            x = einops.repeat(x, "b h w c -> b (h 2) (w 2) c")
            x = Conv(self.features, dtype=self.dtype, name="upsample_conv")(x)
        return x


class _Encoder(nn.Module):
    """Pictures to features; the mean of 2×2 pixels between levels."""

    config: MaskGITVQConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        config = self.config
        x = Conv(config.ch, use_bias=False, dtype=self.dtype, name="conv_in")(images)
        for i, mult in enumerate(config.ch_mult):
            if i:
                x = nn.avg_pool(x, (2, 2), (2, 2))
            x = _Level(config.ch * mult, config.num_res_blocks, False, self.dtype, name=f"down_{i}")(x)
        for i in range(config.num_res_blocks):
            x = _ResBlock(x.shape[-1], self.dtype, name=f"mid_{i}")(x)
        x = nn.silu(GroupNorm(dtype=self.dtype, name="norm_out")(x))
        return Conv(config.z_channels, 1, dtype=self.dtype, name="conv_out")(x)


class _Decoder(nn.Module):
    """Features to pictures; `up_0` is the full resolution and comes last."""

    config: MaskGITVQConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, features: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        config = self.config
        x = Conv(config.ch * config.ch_mult[-1], dtype=self.dtype, name="conv_in")(features)
        for i in range(config.num_res_blocks):
            x = _ResBlock(x.shape[-1], self.dtype, name=f"mid_{i}")(x)
        for i, mult in reversed(list(enumerate(config.ch_mult))):
            x = _Level(config.ch * mult, config.num_res_blocks, i > 0, self.dtype, name=f"up_{i}")(x)
        x = nn.silu(GroupNorm(dtype=self.dtype, name="norm_out")(x))
        return Conv(3, dtype=self.dtype, name="conv_out")(x)


class _Quantiser(nn.Module):
    """The codebook, always in float32."""

    config: MaskGITVQConfig

    def setup(self):
        self.embedding = nn.Embed(self.config.vocab_size, self.config.z_channels)

    def __call__(self, features: Float[Array, "B h w C"]) -> Int[Array, "B L"]:
        """(1)."""
        return nearest(raster(features.astype(jnp.float32)), self.embedding.embedding)

    def codes(self, tokens: Int[Array, "B L"]) -> Float[Array, "B h w C"]:
        """The features that `tokens` stand for."""
        return look_up(tokens, self.embedding.embedding, self.config.side)


class MaskGITVQ(nn.Module):
    """Images in [0, 1] to tokens and back.

    Attributes:
      config: the shape.
      dtype: compute dtype of encoder and decoder; quantisation is always float32.
    """

    config: MaskGITVQConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the released keys."""
        self.encoder = _Encoder(self.config, self.dtype)
        self.decoder = _Decoder(self.config, self.dtype)
        self.quantize = _Quantiser(self.config)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """The reconstruction [B,H,W,3] float32 of images [B,H,W,3] in [0, 1]."""
        return self.decode(self.encode(images))

    def features(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """z, the features that are quantised, float32."""
        return self.encoder(images).astype(jnp.float32)

    def encode(self, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        """Tokens [B,L] int32 of images [B,H,W,3] float32 in [0, 1]."""
        return self.quantize(self.features(images))

    def quantized(self, features: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """The codes nearest to the features, float32."""
        return self.quantize.codes(self.quantize(features))

    def decode_features(self, features: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 of features, not clamped."""
        return self.decoder(features).astype(jnp.float32)

    def decode(self, tokens: Int[Array, "B L"]) -> Float[Array, "B H W 3"]:
        """(2): images [B,H,W,3] float32 of `tokens`, clamped to [0, 1]."""
        return jnp.clip(self.decode_features(self.quantize.codes(tokens)), 0, 1)


RELEASED = ModelVariant(
    config=MaskGITVQConfig(),
    num_params=54_515_587,
    source="https://huggingface.co/fun-research/TiTok/resolve/main/maskgit-vqgan-imagenet-f16-256.bin",
    licence="Apache-2.0",
)
"""The one released tokenizer."""
