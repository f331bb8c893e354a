"""Latent diffusion's U-Net, which predicts the noise in an image's latents from a class or a caption.

With a noised latent z_t, a time t (0 .. 999) and a context c: one token, the embedding of a class, or the T
tokens of a caption's embedding:

    e = silu(mlp(sinusoids(t)));   x = conv(z_t)                                                       (1)
    x ← ResBlock(x, e);  x ← Transformer(x, c)     down and up the levels, the latter at some of them (2)
    x ← ResBlock([x, s], e) on the way up, s the last output on the way down not yet taken             (3)
    ε̂ = conv(silu(norm(x)))                                                                            (4)

The resolution halves from level to level; `jaxaudit.models.unet_blocks` has ResBlock and Transformer.
Labels are never dropped; the null label, where there is one, is `num_classes`.
Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022
(arXiv 2112.10752), §3.3 and appendix E; the network of Dhariwal & Nichol 2021 (arXiv 2105.05233).

Axes: B batch, h and w latent pixels, c channels of a latent, T tokens of a context, D their channels,
C channels.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import TimeEmbedding
from jaxaudit.models.spatial import Conv, Upsample
from jaxaudit.models.unet_blocks import Downsample, ResBlock, Transformer, norm_silu
from jaxaudit.models.variant import ModelVariant


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """Shape of a U-Net; the defaults are those of LDM-8 for 256 px pictures of ImageNet.

    Attributes:
      num_classes: class labels; 0: captions.
      null_label: whether one more embedding row is the null label.
      context_length: T of captions, 0 for labels.
      context_dim: D.
      width: channels of the first level, even.
      ch_mult: channels of each level in units of `width`.
      num_res_blocks: ResBlocks per level on the way down; there is one more on the way up.
      attention_levels: the levels with transformers, 0 the full resolution; the middle always has one.
      heads: heads of attention at each level, divisors of its channels; the middle's are those of the last.
      latent_size: h and w, a multiple of 2^(levels - 1).
      latent_channels: c.
      num_groups: of channels that are normalised together.

    Raises:
      InputError: if a size is none, something does not divide what it should, or labels and captions are both
        asked for, or neither.
    """

    num_classes: int = 1000
    null_label: bool = False
    context_length: int = 0
    context_dim: int = 512
    width: int = 256
    ch_mult: tuple[int, ...] = (1, 2, 4)
    num_res_blocks: int = 2
    attention_levels: tuple[int, ...] = (0, 1, 2)
    heads: tuple[int, ...] = (8, 16, 32)
    latent_size: int = 32
    latent_channels: int = 4
    num_groups: int = 32

    def __post_init__(self):
        check_sizes(self, "context_dim", "width", "ch_mult", "num_res_blocks", "heads")
        check_sizes(self, "latent_size", "latent_channels", "num_groups")
        check_sizes(self, "num_classes", "context_length", least=0)
        if (self.num_classes > 0) == (self.context_length > 0):
            raise InputError(
                f"num_classes={self.num_classes} and context_length={self.context_length}: "
                "a U-Net is conditioned on labels or on captions, one of them."
            )
        if self.width % 2:
            raise InputError(f"width={self.width} is odd; it must be even.")
        if len(self.heads) != len(self.ch_mult):
            raise InputError(f"heads={self.heads} must say how many for each of {len(self.ch_mult)} levels.")
        for level, heads in enumerate(self.heads):
            if self.channels(level) % heads:
                raise InputError(
                    f"{heads} heads do not divide the {self.channels(level)} channels of level {level}."
                )
        if self.latent_size % (smallest := 2 ** (len(self.ch_mult) - 1)):
            raise InputError(
                f"latent_size={self.latent_size} cannot be halved to {len(self.ch_mult)} levels; "
                f"it must be a multiple of {smallest}."
            )

    def channels(self, level: int) -> int:
        """C of a level."""
        return self.width * self.ch_mult[level]

    @property
    def num_heads(self) -> int:
        """Heads of the first level."""
        return self.heads[0]

    @property
    def out_channels(self) -> int:
        """Channels of the network's output."""
        return self.latent_channels

    @property
    def context_shape(self) -> tuple[int, int] | None:
        """(T, D) of captions, None without."""
        return (self.context_length, self.context_dim) if self.context_length else None

    @property
    def input_blocks(self) -> tuple[tuple[int, int], ...]:
        """(number, level) of the ResBlocks on the way down; 0 is the first convolution, others downsample."""
        stride = self.num_res_blocks + 1
        return tuple(
            (1 + level * stride + i, level)
            for level in range(len(self.ch_mult))
            for i in range(self.num_res_blocks)
        )

    @property
    def output_blocks(self) -> tuple[tuple[int, int], ...]:
        """(number, level) of the ResBlocks on the way up."""
        stride, last = self.num_res_blocks + 1, len(self.ch_mult) - 1
        return tuple((i, last - i // stride) for i in range(stride * (last + 1)))

    @property
    def blocks(self) -> tuple[str, ...]:
        """The transformers' names, in order."""
        return (
            *(f"input_transformer_{i}" for i, level in self.input_blocks if level in self.attention_levels),
            "middle_transformer",
            *(f"output_transformer_{i}" for i, level in self.output_blocks if level in self.attention_levels),
        )


class UNet(nn.Module):
    """The network.

    Attributes:
      config: the shape.
      dtype: compute dtype of convolutions and matrix products; what is added up, norms and softmax are
        float32.
      attention_backend: what computes attention over whole images, at the levels where it can.
    """

    config: UNetConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(
        self,
        z_t: Float[Array, "B h w c"],
        t: Num[Array, " B"],
        condition: Int[Array, " B"] | Float[Array, "B T D"],
    ) -> Float[Array, "B h w c"]:
        """ε̂ float32 of noised latents at the times t, given labels or the embeddings of captions."""
        config, dtype, last = self.config, self.dtype, len(self.config.ch_mult) - 1
        groups = config.num_groups
        context = self._context(condition)
        e = nn.silu(TimeEmbedding(4 * config.width, dtype, config.width, name="time_embed")(t))

        def block(x: Array, level: int, part: str, number: int) -> Array:
            """(2)."""
            x = ResBlock(config.channels(level), dtype, groups, name=f"{part}_blocks_{number}")(x, e)
            if level in config.attention_levels:
                x = self._transformer(level, f"{part}_transformer_{number}")(x, context)
            return x

        x = Conv(config.width, dtype=dtype, name="conv_in")(z_t).astype(jnp.float32)
        skips, above = [x], 0
        for number, level in config.input_blocks:
            if level > above:
                x, above = Downsample(dtype, name=f"downsample_{number - 1}")(x), level
                skips.append(x)
            x = block(x, level, "input", number)
            skips.append(x)
        x = ResBlock(x.shape[-1], dtype, groups, name="middle_blocks_0")(x, e)
        x = self._transformer(last, "middle_transformer")(x, context)
        x = ResBlock(x.shape[-1], dtype, groups, name="middle_blocks_2")(x, e)
        below = last
        for number, level in config.output_blocks:
            if level < below:
                x, below = Upsample(dtype, name=f"upsample_{number - 1}")(x).astype(jnp.float32), level
            x = block(jnp.concatenate([x, skips.pop()], axis=-1), level, "output", number)
        h = norm_silu(x, dtype, groups, "norm_out")
        return Conv(config.latent_channels, dtype=dtype, name="conv_out")(h).astype(jnp.float32)

    def _context(self, condition: Array) -> Float[Array, "B T D"]:
        """c."""
        config = self.config
        if not config.num_classes:
            return condition
        rows = config.num_classes + config.null_label
        embedding = nn.initializers.normal(1.0)
        table = nn.Embed(rows, config.context_dim, jnp.float32, embedding_init=embedding, name="class_embed")
        return table(condition)[:, None]

    def _transformer(self, level: int, name: str) -> Transformer:
        config = self.config
        return Transformer(
            config.heads[level], self.dtype, self.attention_backend, config.num_groups, name=name
        )


def _released(num_params: int, source: str, licence: str, **fields) -> ModelVariant:
    return ModelVariant(config=UNetConfig(**fields), num_params=num_params, source=source, licence=licence)


LATENT_DIFFUSION: dict[str, ModelVariant] = {
    "ldm_8_cin256": _released(
        381_922_564 + 512_000, "https://ommer-lab.com/files/latent-diffusion/cin.zip", "MIT"
    ),
    "ldm_4_cin256": _released(
        387_566_979 + 512_512,
        "https://ommer-lab.com/files/latent-diffusion/nitro/cin/model.ckpt",
        "MIT",
        null_label=True,
        width=192,
        ch_mult=(1, 2, 3, 5),
        attention_levels=(1, 2, 3),
        heads=(1, 1, 1, 1),
        latent_size=64,
        latent_channels=3,
    ),
}
"""The released models of ImageNet, with the embedding of classes, without what does nothing.

Their files hold U-Nets of 394,984,196 and 400,920,579; what attention to one token does not need is
not counted (`jaxaudit.models.unet_blocks`, (4)).
"""

_CAPTIONS = {"num_classes": 0, "context_length": 77, "width": 320, "ch_mult": (1, 2, 4, 4)}
_SD_1 = {"context_dim": 768, "heads": (8, 8, 8, 8), "latent_size": 64, **_CAPTIONS}
_SD_2 = {"context_dim": 1024, "heads": (5, 10, 20, 20), **_CAPTIONS}
_HUB = "https://huggingface.co"

STABLE_DIFFUSION: dict[str, ModelVariant] = {
    "sd_1_4": _released(
        859_520_964,
        f"{_HUB}/CompVis/stable-diffusion-v-1-4-original/resolve/main/sd-v1-4.ckpt",
        "CreativeML-OpenRAIL-M",
        **_SD_1,
    ),
    "sd_1_5": _released(
        859_520_964,
        f"{_HUB}/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/v1-5-pruned-emaonly.ckpt",
        "CreativeML-OpenRAIL-M",
        **_SD_1,
    ),
    "sd_2_1_base": _released(
        865_910_724,
        f"{_HUB}/stabilityai/stable-diffusion-2-1-base/resolve/main/v2-1_512-ema-pruned.ckpt",
        "CreativeML-OpenRAIL++-M",
        latent_size=64,
        **_SD_2,
    ),
    "sd_2_1": _released(
        865_910_724,
        f"{_HUB}/stabilityai/stable-diffusion-2-1/resolve/main/v2-1_768-ema-pruned.ckpt",
        "CreativeML-OpenRAIL++-M",
        latent_size=96,
        **_SD_2,
    ),
}
"""The released models of captions: 77 tokens of CLIP's (1.x) or OpenCLIP's (2.x) text encoder."""
