"""The tokenizer of LlamaGen: the CompVis autoencoder around one codebook of directions.

With features z [h,w,C] and codes e, both brought to unit length (x̂ = x / ‖x‖) whenever they are used:

    t = argmin_v ‖ẑ - ê_v‖²          per pixel, raster order                                       (1)
    picture = clip(decoder(ê[t]), -1, 1)                                                           (2)

Sources: Sun et al., "Autoregressive model beats diffusion: Llama for scalable image generation", arXiv
2406.06525, section 2.1; Yu et al., "Vector-quantized image modeling with improved VQGAN", ICLR 2022, for (1).

Axes: B batch, L tokens, H and W pixels, h and w feature pixels, C channels of a code, V codes.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.models.layers import unit_length
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers.codebook import look_up, nearest, raster
from jaxaudit.tokenizers.layers import Conv, Decoder, Encoder


@dataclasses.dataclass(frozen=True)
class LlamaGenVQConfig:
    """Shape of a LlamaGen tokenizer; the defaults are the released one, VQ-16.

    Attributes:
      vocab_size: V.
      code_channels: C.
      z_channels: channels of the encoder's result, which a 1×1 convolution maps to C.
      ch: channels of the first convolution.
      ch_mult: channels of each level in units of `ch`; the resolution halves between levels, and the deepest
        has attention.
      num_res_blocks: ResBlocks per level of the encoder (the decoder has one more).
      side: tokens per side of a picture.
    """

    vocab_size: int = 16384
    code_channels: int = 8
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


class _Quantiser(nn.Module):
    """The codebook, always in float32."""

    config: LlamaGenVQConfig

    def setup(self):
        self.embedding = nn.Embed(self.config.vocab_size, self.config.code_channels)

    def __call__(self, features: Float[Array, "B h w C"]) -> Int[Array, "B L"]:
        """(1)."""
        return nearest(unit_length(raster(features)), self._directions())

    def codes(self, tokens: Int[Array, "B L"]) -> Float[Array, "B h w C"]:
        """ê of `tokens`."""
        return look_up(tokens, self._directions(), self.config.side)

    def _directions(self) -> Float[Array, "V C"]:
        return unit_length(self.embedding.embedding.astype(jnp.float32))


class LlamaGenVQ(nn.Module):
    """Images in [-1, 1] to tokens and back.

    Attributes:
      config: the shape.
      dtype: compute dtype of encoder and decoder; quantisation is always float32.
    """

    config: LlamaGenVQConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers."""
        config = self.config
        shared = {
            "ch": config.ch,
            "ch_mult": config.ch_mult,
            "num_res_blocks": config.num_res_blocks,
            "attention_levels": (len(config.ch_mult) - 1,),
            "dtype": self.dtype,
        }
        self.encoder = Encoder(out_channels=config.z_channels, **shared)
        self.decoder = Decoder(**shared)
        self.quant_conv = Conv(config.code_channels, 1)
        self.post_quant_conv = Conv(config.z_channels, 1)
        self.quantize = _Quantiser(config)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """The reconstruction [B,H,W,3] float32 of images [B,H,W,3] in [-1, 1]."""
        return self.decode(self.encode(images))

    def features(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """z, of any length, float32."""
        return self.quant_conv(self.encoder(images).astype(jnp.float32))

    def encode(self, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        """Tokens [B,L] int32 of images [B,H,W,3] float32 in [-1, 1]."""
        return self.quantize(self.features(images))

    def directions(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """ẑ, of unit length as codes are, float32."""
        return unit_length(self.features(images))

    def quantized(self, features: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """ê of the tokens of `features`, float32."""
        return self.quantize.codes(self.quantize(features))

    def decode_features(self, features: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 of codes, not clamped."""
        return self.decoder(self.post_quant_conv(features)).astype(jnp.float32)

    def decode(self, tokens: Int[Array, "B L"]) -> Float[Array, "B H W 3"]:
        """(2): images [B,H,W,3] float32 of `tokens`, clamped to [-1, 1]."""
        return jnp.clip(self.decode_features(self.quantize.codes(tokens)), -1, 1)


RELEASED = ModelVariant(
    config=LlamaGenVQConfig(),
    num_params=71_883_403,
    source="https://huggingface.co/FoundationVision/LlamaGen/resolve/main/vq_ds16_c2i.pt",
    licence="MIT",
)
"""VQ-16, the tokenizer of all released class-conditional models; those of 384 px use it with 24 per side."""
