"""The KL autoencoders of latent diffusion: images to the Gaussian posterior of a latent, and back.

    [μ, log σ²] = conv1×1(encoder(x)),   log σ² clamped to [−30, 20]                          (1)
    latent = scale · (μ − shift),  or  scale · (μ + σ n − shift) for a draw                   (2)
    x̂ = decoder(conv1×1(latent / scale + shift))                                              (3)

`scale` and `shift` bring latents to about unit variance and zero mean; they belong to the model that was
trained on them. Later autoencoders have no 1×1 convolutions.
Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022, §3.1.

Axes: B batch, H and W pixels, h and w latent pixels, C channels of a latent,
M = 2 C numbers of a posterior. NHWC.
"""

from __future__ import annotations

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.spatial import Conv
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers.layers import Decoder, Encoder


@dataclasses.dataclass(frozen=True)
class KLAutoencoderConfig:
    """Shape of a KL autoencoder; the defaults are MAR's.

    Attributes:
      latent_channels: C.
      ch: channels of the first convolution.
      ch_mult: channels of each level in units of `ch`; the resolution halves between levels.
      num_res_blocks: ResBlocks per level of the encoder (the decoder has one more).
      encoder_attention_levels: the encoder's levels with self-attention, 0 the full resolution. The
        decoder's levels never have it.
      scale, shift: of (2).
      image_size: height and width of the pictures, pixels.
      num_groups: of channels that are normalised together.
      mid_attention: whether the middles have self-attention.
      quant_conv, post_quant_conv: whether (1) and (3) have a convolution.

    Raises:
      InputError: if a size is none, or scale and shift are.
    """

    latent_channels: int = 16
    ch: int = 128
    ch_mult: tuple[float, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    encoder_attention_levels: tuple[int, ...] = (4,)
    scale: float = 0.2325
    image_size: int = 256
    shift: float = 0.0
    num_groups: int = 32
    mid_attention: bool = True
    quant_conv: bool = True
    post_quant_conv: bool = True

    def __post_init__(self):
        check_sizes(self, "latent_channels", "ch", "num_res_blocks", "image_size", "num_groups")
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.shift):
            raise InputError(f"Latents cannot be scaled by {self.scale} and shifted by {self.shift}.")

    @property
    def latent_size(self) -> int:
        """Height and width of the latents."""
        return self.image_size // 2 ** (len(self.ch_mult) - 1)


class KLAutoencoder(nn.Module):
    """Images in [-1, 1] to scaled latents and back.

    Attributes:
      config: the shape.
      dtype: compute dtype of encoder and decoder; the posterior is float32.
    """

    config: KLAutoencoderConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the CompVis keys."""
        config = self.config
        shared = {
            "ch": config.ch,
            "ch_mult": config.ch_mult,
            "num_res_blocks": config.num_res_blocks,
            "mid_attention": config.mid_attention,
            "num_groups": config.num_groups,
            "dtype": self.dtype,
        }
        self.encoder = Encoder(
            out_channels=2 * config.latent_channels,
            attention_levels=config.encoder_attention_levels,
            **shared,
        )
        self.decoder = Decoder(**shared)
        if config.quant_conv:
            self.quant_conv = Conv(2 * config.latent_channels, kernel_size=1)
        if config.post_quant_conv:
            self.post_quant_conv = Conv(config.latent_channels, kernel_size=1)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Reconstructions from the posterior mean, clamped to [-1, 1]."""
        return self.decode(self.encode(images))

    def moments(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w M"]:
        """[μ, log σ²] of (1) before the clamp, not scaled, float32."""
        features = self.encoder(images).astype(jnp.float32)
        return self.quant_conv(features) if self.config.quant_conv else features

    def encode(
        self, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B h w C"]:
        """Latents (2), float32: the posterior's mean, or with a key per image a draw."""
        moments = self.moments(images)
        if key is None:
            return self._scaled(posterior(moments)[0])
        shape = (*moments.shape[1:3], self.config.latent_channels)
        return self._scaled(sample(moments, jax.vmap(lambda k: jax.random.normal(k, shape))(key)))

    def decode(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 of scaled latents (3), clamped to [-1, 1]."""
        return jnp.clip(self.reconstruct(latents), -1, 1)

    def reconstruct(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """(3) without a clamp, float32."""
        latents = latents / self.config.scale + self.config.shift
        if self.config.post_quant_conv:
            latents = self.post_quant_conv(latents)
        return self.decoder(latents).astype(jnp.float32)

    def _scaled(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        return self.config.scale * (latents - self.config.shift)


def posterior(
    moments: Float[Array, "B h w M"],
) -> tuple[Float[Array, "B h w M//2"], Float[Array, "B h w M//2"]]:
    """μ and the clamped log σ² of (1)."""
    mean, log_variance = jnp.split(moments, 2, axis=-1)
    return mean, jnp.clip(log_variance, -30.0, 20.0)


def sample(moments: Float[Array, "B h w M"], noise: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
    """μ + σ n, not scaled, for standard Gaussian noise n."""
    mean, log_variance = posterior(moments)
    return mean + jnp.exp(0.5 * log_variance) * noise


_F8 = KLAutoencoderConfig(latent_channels=4, ch_mult=(1, 2, 4, 4), encoder_attention_levels=(), scale=0.18215)


def _stable_diffusion(source: str, licence: str) -> ModelVariant:
    return ModelVariant(config=_F8, num_params=83_653_863, source=source, licence=licence)


RELEASED: dict[str, ModelVariant] = {
    "kl16": ModelVariant(
        config=KLAutoencoderConfig(),
        num_params=66_456_019,
        source="https://www.dropbox.com/scl/fi/hhmuvaiacrarfg28qxhwz/kl16.ckpt?rlkey=l44xipsezc8atcffdp4q7mwmh&dl=1",
        licence="MIT",
    ),
    "sd-vae-ft-ema": _stable_diffusion("https://huggingface.co/stabilityai/sd-vae-ft-ema", "MIT"),
    "sd-vae-ft-mse": _stable_diffusion("https://huggingface.co/stabilityai/sd-vae-ft-mse", "MIT"),
    "autoencoder_kl": _stable_diffusion(
        "https://drive.google.com/drive/folders/1yo-XhqbPue3rp5P57j6QbA5QZx6KybvP", "CreativeML-OpenRAIL-M"
    ),
}
"""The released autoencoders: MAR's, the two that DiT uses, and U-ViT's copy of Stable Diffusion's.

`scale` is that of ImageNet models; U-ViT's MS-COCO models use 0.2301.
"""
