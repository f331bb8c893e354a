"""DiMR: noise predicted at half the resolution by a transformer, then at the whole one by convolutions.

Both networks, here the coarse and the fine one, read the whole noised latent z_n. The time n, 1 .. 1000, is
told by their norms alone, whose parameters move with it, each number of them by itself:

    p(τ) = p₁ + sigmoid((1 + w) τ + b) (p₀ − p₁),   τ = 2 n / 1000 − 1                                (1)
    rms(x) = s(τ) x / (√mean x² + 10⁻⁸);   norm(x) = s(τ) (x − mean x) / √(var x + 10⁻⁵) + t(τ)       (2)

    coarse: x = [embedding(label), linear(2 × 2 patches of z_n) + positions]                          (3)
            x ← x + attention(rms(x));   x ← x + mlp(rms(x)),  gated                                  (4)
    fine:   x = linear(pixels of z_n) + positions + u                                                 (5)
            x ← x + convolution(x), each channel alone;   x ← x + mlp(rms(x)),  gated                 (6)
    u = norm(linear(norm(what (3) and every block of (4) gave, side by side))), 2 × 2 pixels a token   (7)

In both, the last half of an odd number of blocks is given linear([x, y]), y the output of the first half's
block of the same distance to the middle one. The noise is

    ε̂ = convolution(norm(x)), 3 × 3                                                                   (8)

at the fine resolution; the coarse one predicts what is left of it in 2 × 2 pixels together, and is trained
to. Labels are never dropped; the null label is `num_classes`.
Source: Liu et al., "Alleviating distortion in image generation via multi-resolution diffusion models",
NeurIPS 2024 (arXiv 2406.09416), §3.

Axes: B batch, h and w latent pixels, c channels of a latent, L tokens or pixels, C width, Z channels of all
blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention import SelfAttention
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.convnet import DepthwiseConv
from jaxaudit.models.layers import Dense, layer_norm
from jaxaudit.models.mlp import GatedMLP, exact_gelu
from jaxaudit.models.patches import PatchEmbed, unpatchify
from jaxaudit.models.variant import ModelVariant
from jaxaudit_kernels.precision import matmul_precision

_NORMAL = nn.initializers.normal(0.02)
_RMS_EPS, _NORM_EPS = 1e-8, 1e-5
_SCALE = 2
"""Pixels of the fine network per side of a token of the coarse one."""


@dataclasses.dataclass(frozen=True)
class DiMRConfig:
    """Shape of a DiMR of two resolutions; the defaults are those of XL/2R for 256 px pictures.

    Attributes:
      num_classes: class labels; one more embedding row is the null label.
      depth, width: blocks, an odd number, and C of the coarse network.
      num_heads: of the coarse network, a divisor of its C.
      fine_depth, fine_width: blocks, an odd number, and C of the fine network.
      mlp_ratio: hidden units of an MLP in units of C.
      kernel_size: height and width of the convolutions of (6), odd.
      latent_size: h and w, even.
      latent_channels: c.

    Raises:
      InputError: if a size is none, something does not divide what it should, is even or odd where it should
        not be, or there are no classes.
    """

    num_classes: int = 1000
    depth: int = 39
    width: int = 960
    num_heads: int = 16
    fine_depth: int = 21
    fine_width: int = 480
    mlp_ratio: float = 2.0
    kernel_size: int = 7
    latent_size: int = 32
    latent_channels: int = 4

    def __post_init__(self):
        check_sizes(self, "depth", "width", "num_heads", "fine_depth", "fine_width", "kernel_size")
        check_sizes(self, "latent_size", "latent_channels")
        if self.num_classes < 1:
            raise InputError(f"num_classes={self.num_classes}: a DiMR needs at least one class.")
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")
        for name in ("depth", "fine_depth", "kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise InputError(f"{name}={getattr(self, name)} is even; it must be odd.")
        if self.latent_size % _SCALE:
            raise InputError(f"latent_size={self.latent_size} is odd; it must be even.")

    @property
    def out_channels(self) -> int:
        """Channels of the network's output."""
        return self.latent_channels

    @property
    def context_shape(self) -> None:
        """Captions are not among the conditions."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks' names, in order."""
        depths = {"coarse": self.depth, "fine": self.fine_depth}
        return tuple(f"{name}_blocks_{i}" for name, depth in depths.items() for i in range(depth))


class TimeDependent(nn.Module):
    """(1); p₀ and p₁ are `param0` and `param1`, w and b `nodecay_weight` and `nodecay_bias`.

    Attributes:
      initial: p in a new network, at all times.
    """

    initial: float

    @nn.compact
    def __call__(self, width: int, tau: Float[Array, " B"]) -> Float[Array, "B 1 {width}"]:
        """p of C = `width` numbers at the times τ, float32."""
        zeros, initial = nn.initializers.zeros, nn.initializers.constant(self.initial)
        late, early, slope, offset = (
            self.param(name, init, (width,), jnp.float32).astype(jnp.float32)[None]
            for name, init in (
                ("param0", initial),
                ("param1", initial),
                ("nodecay_weight", zeros),
                ("nodecay_bias", zeros),
            )
        )
        share = nn.sigmoid((1 + slope) * tau[:, None] + offset)
        return (early + share * (late - early))[:, None]


class _RMSNorm(nn.Module):
    """rms of (2)."""

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], tau: Float[Array, " B"]) -> Float[Array, "B L C"]:
        scale = TimeDependent(1.0, name="scale")(x.shape[-1], tau)
        size = jnp.sqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True))
        return x / (size + _RMS_EPS) * scale


class _LayerNorm(nn.Module):
    """norm of (2)."""

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], tau: Float[Array, " B"]) -> Float[Array, "B L C"]:
        scale = TimeDependent(1.0, name="weight")(x.shape[-1], tau)
        return layer_norm(x, eps=_NORM_EPS) * scale + TimeDependent(0.0, name="bias")(x.shape[-1], tau)


class CoarseBlock(nn.Module):
    """(4)."""

    config: DiMRConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], tau: Float[Array, " B"]) -> Float[Array, "B L C"]:
        """The residual stream after the block, float32."""
        config = self.config
        attention = SelfAttention(
            config.num_heads, False, self.dtype, _NORMAL, self.attention_backend, name="attn"
        )
        mlp = GatedMLP(
            round(config.width * config.mlp_ratio), exact_gelu, True, self.dtype, _NORMAL, name="mlp"
        )
        x = x + attention(_RMSNorm(name="norm1")(x, tau))
        return x + mlp(_RMSNorm(name="norm2")(x, tau))


class FineBlock(nn.Module):
    """(6)."""

    config: DiMRConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], tau: Float[Array, " B"]) -> Float[Array, "B L C"]:
        """The residual stream after the block, float32."""
        config = self.config
        mlp = GatedMLP(
            round(config.fine_width * config.mlp_ratio), exact_gelu, True, self.dtype, _NORMAL, name="mlp"
        )
        image = einops.rearrange(x, "b (h w) c -> b h w c", h=config.latent_size)
        mixed = DepthwiseConv(config.kernel_size, _NORMAL, name="conv")(image)
        x = x + einops.rearrange(mixed, "b h w c -> b (h w) c")
        return x + mlp(_RMSNorm(name="norm2")(x, tau))


class _Upsample(nn.Module):
    """(7)."""

    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B l Z"], tau: Float[Array, " B"]) -> Float[Array, "B L C"]:
        features = self.width * _SCALE**2
        x = Dense(features, dtype=self.dtype, kernel_init=_NORMAL, name="linear")(
            _LayerNorm(name="norm_in")(x, tau)
        )
        pixels = einops.rearrange(unpatchify(x, _SCALE, "p q c"), "b h w c -> b (h w) c")
        return _LayerNorm(name="norm_out")(pixels, tau)


class _Output(nn.Module):
    """(8)."""

    channels: int
    side: int

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], tau: Float[Array, " B"]) -> Float[Array, "B h w c"]:
        x = _LayerNorm(name="norm")(x, tau)
        image = einops.rearrange(x, "b (h w) c -> b h w c", h=self.side)
        precision = matmul_precision(jnp.float32)
        return nn.Conv(self.channels, (3, 3), precision=precision, kernel_init=_NORMAL, name="conv")(image)


class DiMR(nn.Module):
    """The network.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms, convolutions and softmax are
        float32.
      attention_backend: what computes attention over whole images.
    """

    config: DiMRConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    def setup(self):
        """The layers of the coarse network and of the fine one."""
        config, dtype = self.config, self.dtype
        side, fine_side = config.latent_size // _SCALE, config.latent_size
        self.coarse_input = PatchEmbed(config.width, _SCALE, dtype, _NORMAL)
        self.coarse_positions = self.param("coarse_positions", _NORMAL, (side**2, config.width), jnp.float32)
        self.class_embeds = nn.Embed(
            config.num_classes + 1, config.width, dtype=jnp.float32, embedding_init=_NORMAL
        )
        self.coarse_blocks = [CoarseBlock(config, dtype, self.attention_backend) for _ in range(config.depth)]
        self.coarse_skips = self._skips(config.width, config.depth)
        self.coarse_output = _Output(config.latent_channels, side)
        self.fine_input = PatchEmbed(config.fine_width, 1, dtype, _NORMAL)
        self.fine_positions = self.param(
            "fine_positions", _NORMAL, (fine_side**2, config.fine_width), jnp.float32
        )
        self.upsample = _Upsample(config.fine_width, dtype)
        self.fine_blocks = [FineBlock(config, dtype) for _ in range(config.fine_depth)]
        self.fine_skips = self._skips(config.fine_width, config.fine_depth)
        self.fine_output = _Output(config.latent_channels, fine_side)

    def __call__(
        self, z_n: Float[Array, "B h w c"], n: Num[Array, " B"], labels: Int[Array, " B"]
    ) -> Float[Array, "B h w c"]:
        """ε̂ float32 of noised latents at the times n (1 .. 1000)."""
        return self.resolutions(z_n, n, labels)[1]

    def resolutions(
        self, z_n: Float[Array, "B h w c"], n: Num[Array, " B"], labels: Int[Array, " B"]
    ) -> tuple[Float[Array, "B _ _ c"], Float[Array, "B h w c"]]:
        """What the coarse network predicts, at half of h and w, and ε̂ of the fine one; float32.

        The coarse target is the noise summed over 2 × 2 pixels and halved, so that its variance is kept.
        """
        tau = 2 * n.astype(jnp.float32) / 1000 - 1
        tokens = self.coarse_input(z_n) + self.coarse_positions.astype(jnp.float32)[None]
        x = jnp.concatenate([self.class_embeds(labels)[:, None], tokens], axis=1)
        coarse = [each[:, 1:] for each in _passed(x, self.coarse_blocks, self.coarse_skips, tau)]
        x = self.fine_input(z_n) + self.fine_positions.astype(jnp.float32)[None]
        x = x + self.upsample(jnp.concatenate(coarse, axis=-1), tau)
        fine = _passed(x, self.fine_blocks, self.fine_skips, tau)
        return self.coarse_output(coarse[-1], tau), self.fine_output(fine[-1], tau)

    def _skips(self, width: int, depth: int) -> list[Dense]:
        return [Dense(width, dtype=self.dtype, kernel_init=_NORMAL) for _ in range(depth // 2)]


def _passed(
    x: Float[Array, "B L C"],
    blocks: Sequence[Callable[[Array, Array], Array]],
    skips: Sequence[Callable[[Array], Array]],
    tau: Float[Array, " B"],
) -> list[Float[Array, "B L C"]]:
    """x and what every block gave."""
    half, given = len(skips), [x]
    for i, block in enumerate(blocks):
        if i > half:
            x = skips[i - half - 1](jnp.concatenate([x, given[2 * half + 1 - i]], axis=-1))
        x = block(x, tau)
        given.append(x)
    return given


def _released(size: str, num_params: int, **fields) -> ModelVariant:
    return ModelVariant(
        config=DiMRConfig(**fields),
        num_params=num_params,
        source=f"https://huggingface.co/QHL067/DiMR/resolve/main/DiMR-{size}_2R_800epochs.pth",
        licence="LicenseRef-research-only",
    )


VARIANTS: dict[str, ModelVariant] = {
    "dimr_xl_2r": _released("XL", 505_046_408),
    "dimr_g_2r": _released("G", 1_056_352_904, depth=57, width=1152, fine_depth=29, fine_width=576),
}
"""The released models, trained on ImageNet at 256 px, for research only (the code is Apache-2.0)."""
