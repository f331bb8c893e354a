"""The VQ first stages of latent diffusion: images to continuous latents, and back through a codebook.

    z = conv1×1(encoder(x))                                   not quantised: this is what is generated   (1)
    x̂ = decoder(conv1×1(e_{k(z)})),   k(z) = argmin_k ‖z − e_k‖²   at every latent pixel                 (2)

Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022, §3.1; the
quantisation is absorbed by the decoder.

Axes: B batch, H and W pixels, h and w latent pixels, C channels of a latent, L = h w tokens. NHWC.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jaxaudit.models.spatial import Conv
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers.codebook import look_up, nearest, raster
from jaxaudit.tokenizers.layers import Decoder, Encoder


@dataclasses.dataclass(frozen=True)
class VQAutoencoderConfig:
    """Shape of a VQ first stage; the defaults are those of VQ-f8, which LDM-8 was trained on.

    Attributes:
      vocab_size: codes.
      latent_channels: C, also of a code.
      ch: channels of the first convolution.
      ch_mult: channels of each level in units of `ch`; the resolution halves between levels.
      num_res_blocks: ResBlocks per level of the encoder (the decoder has one more).
      attention_levels: the levels with self-attention, 0 the full resolution; the middles always have it.
      image_size: height and width of the pictures, pixels.
    """

    vocab_size: int = 16384
    latent_channels: int = 4
    ch: int = 128
    ch_mult: tuple[float, ...] = (1, 2, 2, 4)
    num_res_blocks: int = 2
    attention_levels: tuple[int, ...] = (3,)
    image_size: int = 256

    @property
    def latent_size(self) -> int:
        """Height and width of the latents."""
        return self.image_size // 2 ** (len(self.ch_mult) - 1)


class VQAutoencoder(nn.Module):
    """Images in [-1, 1] to latents and back.

    Attributes:
      config: the shape.
      dtype: compute dtype of encoder and decoder; latents and codes are float32.
    """

    config: VQAutoencoderConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the released keys."""
        config = self.config
        shared = {
            "ch": config.ch,
            "ch_mult": config.ch_mult,
            "num_res_blocks": config.num_res_blocks,
            "attention_levels": config.attention_levels,
            "dtype": self.dtype,
        }
        self.encoder = Encoder(out_channels=config.latent_channels, **shared)
        self.decoder = Decoder(**shared)
        self.quantize = nn.Embed(config.vocab_size, config.latent_channels)
        self.quant_conv = Conv(config.latent_channels, kernel_size=1)
        self.post_quant_conv = Conv(config.latent_channels, kernel_size=1)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Reconstructions, clamped to [-1, 1]."""
        return self.decode(self.encode(images))

    def encode(
        self, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B h w C"]:
        """Latents (1), float32; there is nothing to draw, whatever the key."""
        del key
        return self.quant_conv(self.encoder(images).astype(jnp.float32))

    def tokens(self, latents: Float[Array, "B h w C"]) -> Int[Array, "B L"]:
        """k of (2), int32, row by row."""
        return nearest(raster(latents.astype(jnp.float32)), self.quantize.embedding)

    def quantized(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """The codes nearest to the latents, float32."""
        return look_up(self.tokens(latents), self.quantize.embedding, latents.shape[1])

    def decode(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 of latents (2), clamped to [-1, 1]."""
        return jnp.clip(self.reconstruct(self.quantized(latents)), -1, 1)

    def reconstruct(self, codes: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """The decoder's images of codes, or of latents that are not quantised, without a clamp, float32."""
        return self.decoder(self.post_quant_conv(codes)).astype(jnp.float32)


RELEASED: dict[str, ModelVariant] = {
    "vq_f8": ModelVariant(
        config=VQAutoencoderConfig(),
        num_params=67_717_295,
        source="https://ommer-lab.com/files/latent-diffusion/cin.zip",
        licence="MIT",
    ),
    "vq_f4": ModelVariant(
        config=VQAutoencoderConfig(
            vocab_size=8192, latent_channels=3, ch_mult=(1, 2, 4), attention_levels=()
        ),
        num_params=55_322_782,
        source="https://ommer-lab.com/files/latent-diffusion/nitro/cin/model.ckpt",
        licence="MIT",
    ),
}
"""Those of the released models of ImageNet, from whose files they are read."""
