"""The multi-scale residual VQ tokenizer of VAR.

Scale s of S has p_s × p_s tokens. With features f [h,h,C], h = p_S, and residual r_1 = f:

    z_s = area(r_s, p_s)                        the last scale is not pooled                (1)
    t_s = argmin_v ‖z_s - e_v‖²                 per pixel                                   (2)
    u_s = φ_s(bicubic(e[t_s], h)),  φ(x) = (1 - ρ) x + ρ conv3x3(x)                         (3)
    r_{s+1} = r_s - u_s,   f̂_s = f̂_{s-1} + u_s                                              (4)

The transformer reads area(f̂_s, p_{s+1}) to predict scale s + 1, and f̂_S is decoded.
Source: Tian et al., "Visual autoregressive modeling", NeurIPS 2024 (arXiv 2404.02905), algorithms 1 and 2;
training loss: van den Oord et al., "Neural discrete representation learning", 2017, eq. (3).

Axes: B batch, L tokens (scales concatenated, raster order inside a scale), l tokens of one scale,
M tokens of all scales but the first, S scales, H and W pixels, h and w feature pixels, C channels of a code.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.errors import InputError
from jaxaudit.models.spatial import Conv
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers.codebook import look_up, nearest, raster
from jaxaudit.tokenizers.layers import Decoder, Encoder
from jaxaudit.tokenizers.resample import area, bicubic

# φ of each scale where the nearest tick is an exact tie, which the rounding of the original decided.
_TIED_PHI = {5: (0, 1, 2, 2, 3), 10: (0, 0, 1, 1, 1, 2, 2, 3, 3, 3)}


@dataclasses.dataclass(frozen=True)
class MultiScaleVQConfig:
    """Shape of a multi-scale VQ tokenizer; the defaults are the released one.

    Attributes:
      vocab_size: number of codes.
      z_channels: channels of a code.
      ch: channels of the first convolution.
      ch_mult: channels of each level in units of `ch`; the resolution halves between levels.
      num_res_blocks: ResBlocks per level of the encoder (the decoder has one more).
      patch_nums: tokens per side of each scale, ascending; the last is the side of the feature map.
      num_phi: number of φ convolutions, shared by neighbouring scales.
      quant_resi: ρ of (3).
      attention: whether the deepest level and the middle have self-attention.
      quant_conv_kernel: kernel size of the convolutions around the quantiser, odd.

    Raises:
      InputError: if `patch_nums` does not ascend.
    """

    vocab_size: int = 4096
    z_channels: int = 32
    ch: int = 160
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    patch_nums: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
    num_phi: int = 4
    quant_resi: float = 0.5
    attention: bool = True
    quant_conv_kernel: int = 3

    def __post_init__(self):
        if not self.patch_nums or list(self.patch_nums) != sorted(set(self.patch_nums)):
            raise InputError(f"patch_nums={self.patch_nums} must ascend, for example (1, 2, 3, 4).")

    @property
    def image_size(self) -> int:
        """Height and width of the pictures, pixels."""
        return self.patch_nums[-1] * 2 ** (len(self.ch_mult) - 1)

    @property
    def steps(self) -> tuple[int, ...]:
        """Tokens of each scale."""
        return tuple(side * side for side in self.patch_nums)


class Quantised(NamedTuple):
    """What residual quantisation leaves behind.

    Attributes:
      tokens: t, [B,L] int32.
      residuals: z, the vector quantised at each token, [B,L,C] float32.
      f_hats: f̂ after each scale, [S,B,h,w,C] float32.
    """

    tokens: Int[Array, "B L"]
    residuals: Float[Array, "B L C"]
    f_hats: Float[Array, "S B h w C"]


class Reconstruction(NamedTuple):
    """What training needs of one batch.

    Attributes:
      images: reconstructions, not clamped, [B,H,W,3] float32.
      tokens: [B,L] int32.
      loss: codebook plus commitment loss, mean over the scales, scalar float32.
    """

    images: Float[Array, "B H W 3"]
    tokens: Int[Array, "B L"]
    loss: Float[Array, ""]


def phi_indices(num_scales: int, num_phi: int) -> tuple[int, ...]:
    """Which φ each of `num_scales` scales uses: the nearest of `num_phi` ticks to s / (S - 1), in float64."""
    if num_phi == 4 and num_scales in _TIED_PHI:
        return _TIED_PHI[num_scales]
    margin = 1 / (3 if num_phi == 4 else 2) / num_phi
    ticks = np.linspace(margin, 1 - margin, num_phi)
    return tuple(int(np.argmin(np.abs(ticks - s / max(num_scales - 1, 1)))) for s in range(num_scales))


class _Phis(nn.Module):
    """The φ convolutions of (3)."""

    config: MultiScaleVQConfig

    def setup(self):
        self.qresi_ls = [Conv(self.config.z_channels) for _ in range(self.config.num_phi)]

    def __call__(self, x: Float[Array, "B h w C"], scale: int) -> Float[Array, "B h w C"]:
        index = phi_indices(len(self.config.patch_nums), self.config.num_phi)[scale]
        ratio = self.config.quant_resi
        return (1 - ratio) * x + ratio * self.qresi_ls[index](x)


class MultiScaleQuantiser(nn.Module):
    """Residual quantisation over the scales, always in float32."""

    config: MultiScaleVQConfig

    def setup(self):
        """The layers, named after the released keys."""
        self.embedding = nn.Embed(self.config.vocab_size, self.config.z_channels)
        self.quant_resi = _Phis(self.config)

    def __call__(self, features: Float[Array, "B h w C"]) -> Quantised:
        """Equations (1) to (4) for `features`."""
        rest, f_hat = features.astype(jnp.float32), jnp.zeros(features.shape, jnp.float32)
        tokens, residuals, f_hats = [], [], []
        for scale, side in enumerate(self.config.patch_nums):
            residuals.append(raster(area(rest, side)))
            tokens.append(nearest(residuals[-1], self.embedding.embedding))
            update = self.update(tokens[-1], scale)
            rest, f_hat = rest - update, f_hat + update
            f_hats.append(f_hat)
        return Quantised(jnp.concatenate(tokens, 1), jnp.concatenate(residuals, 1), jnp.stack(f_hats))

    def update(self, tokens: Int[Array, "B l"], scale: int) -> Float[Array, "B h w C"]:
        """(3): what the tokens of one scale add to f̂."""
        codes = self._codes(tokens, scale)
        return self.quant_resi(bicubic(codes, self.config.patch_nums[-1]), scale)

    def progressive(self, tokens: Int[Array, "B L"]) -> Float[Array, "B h w C"]:
        """f̂_S with f̂ upsampled from scale to scale, instead of each scale to the full size at once."""
        first, *later = self.split(tokens)
        f_hat = self.quant_resi(self._codes(first, 0), 0)
        for scale, part in enumerate(later, start=1):
            update = self.quant_resi(self._codes(part, scale), scale)
            f_hat = bicubic(f_hat, self.config.patch_nums[scale]) + update
        return f_hat

    def split(self, tokens: Int[Array, "B L"]) -> list[Int[Array, "B l"]]:
        """The tokens of each scale."""
        return jnp.split(tokens, np.cumsum(self.config.steps)[:-1], axis=1)

    def _codes(self, tokens: Int[Array, "B l"], scale: int) -> Float[Array, "B p p C"]:
        return look_up(tokens, self.embedding.embedding, self.config.patch_nums[scale])


class MultiScaleVQ(nn.Module):
    """Images in [-1, 1] to multi-scale tokens and back.

    Attributes:
      config: the shape.
      dtype: compute dtype of encoder and decoder; quantisation is always float32.
    """

    config: MultiScaleVQConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the released keys."""
        config = self.config
        deepest = (len(config.ch_mult) - 1,) if config.attention else ()
        shared = {
            "ch": config.ch,
            "ch_mult": config.ch_mult,
            "num_res_blocks": config.num_res_blocks,
            "attention_levels": deepest,
            "mid_attention": config.attention,
            "fused_qkv": True,
            "dtype": self.dtype,
        }
        self.encoder = Encoder(out_channels=config.z_channels, **shared)
        self.decoder = Decoder(**shared)
        self.quant_conv = Conv(config.z_channels, config.quant_conv_kernel)
        self.post_quant_conv = Conv(config.z_channels, config.quant_conv_kernel)
        self.quantize = MultiScaleQuantiser(config)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Reconstruction:
        """The training pass: differentiable in every parameter, straight through the quantiser."""
        f_hat, tokens, loss = self.quantise(self.features(images))
        return Reconstruction(self._picture(f_hat), tokens, loss)

    def features(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """f, the features that are quantised, float32."""
        return self.quant_conv(self.encoder(images).astype(jnp.float32))

    def residual_quantise(self, features: Float[Array, "B h w C"]) -> Quantised:
        """Tokens, quantised residuals and running sums of `features`."""
        return self.quantize(features)

    def quantized(self, features: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """f̂_S of the tokens of `features`, chosen scale by scale, float32."""
        return self.quantize(features).f_hats[-1]

    def quantise(
        self, features: Float[Array, "B h w C"], *, commitment: float = 0.25
    ) -> tuple[Float[Array, "B h w C"], Int[Array, "B L"], Float[Array, ""]]:
        """(f̂, tokens, loss): the gradient of f̂ passes straight through to `features`.

        The loss, mean over the scales of ‖f̂_s - sg f‖² + commitment ‖sg f̂_s - f‖² (both per element),
        moves the codes and φ to the features and the features to the codes.
        """
        stop = jax.lax.stop_gradient
        quantised = self.quantize(stop(features))
        to_codes = jnp.square(quantised.f_hats - stop(features)[None]).mean()
        to_features = jnp.square(stop(quantised.f_hats) - features[None]).mean()
        f_hat = features + stop(quantised.f_hats[-1] - features)
        return f_hat, quantised.tokens, to_codes + commitment * to_features

    def encode(self, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        """Tokens [B,L] int32 of images [B,H,W,3] float32 in [-1, 1]."""
        return self.quantize(self.features(images)).tokens

    def f_hat(self, tokens: Int[Array, "B L"], *, progressive: bool = False) -> Float[Array, "B h w C"]:
        """f̂_S of `tokens`, float32.

        `progressive` upsamples from scale to scale, as the published audits decode.
        """
        if progressive:
            return self.quantize.progressive(tokens)
        first, *rest = (self.quantize.update(part, s) for s, part in enumerate(self.quantize.split(tokens)))
        return sum(rest, start=first)

    def decode(self, tokens: Int[Array, "B L"], *, progressive: bool = False) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 of `tokens`, clamped to [-1, 1]."""
        return self.decode_features(self.f_hat(tokens, progressive=progressive))

    def decode_features(self, f_hat: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 of f̂, clamped to [-1, 1]."""
        return jnp.clip(self._picture(f_hat), -1, 1)

    def extend(
        self, f_hat: Float[Array, "B h w C"] | None, tokens: Int[Array, "B l"], scale: int
    ) -> Float[Array, "B h w C"]:
        """(4): f̂ after `scale` (from 0) from f̂ before it (None: zero) and the tokens of that scale."""
        update = self.quantize.update(tokens, scale)
        return update if f_hat is None else f_hat + update

    def next_input(self, f_hat: Float[Array, "B h w C"], scale: int) -> Float[Array, "B l C"]:
        """What the transformer reads to predict `scale` (1 .. S - 1) from f̂ after the scale before it."""
        return raster(area(f_hat, self.config.patch_nums[scale]))

    def var_input(self, tokens: Int[Array, "B L"]) -> Float[Array, "B M C"]:
        """The teacher-forcing input for all scales but the first; the last scale's tokens play no part."""
        f_hat, inputs = None, []
        for scale, part in enumerate(self.quantize.split(tokens)[:-1]):
            f_hat = self.extend(f_hat, part, scale)
            inputs.append(self.next_input(f_hat, scale + 1))
        return jnp.concatenate(inputs, axis=1)

    def _picture(self, f_hat: Array) -> Array:
        return self.decoder(self.post_quant_conv(f_hat)).astype(jnp.float32)


RELEASED = ModelVariant(
    config=MultiScaleVQConfig(),
    num_params=108_948_355,
    source="https://huggingface.co/FoundationVision/var/resolve/main/vae_ch160v4096z32.pth",
    licence="MIT",
)
"""The one released tokenizer; the 512 px models use it with other `patch_nums`."""
