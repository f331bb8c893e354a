"""DiT: a transformer that predicts the noise in an image's latents, and the variance of the reverse step.

With a noised latent z_t, a time t (0 .. 999) and a class label y:

    c = mlp(sinusoids(t)) + embedding(y);   x = linear(patches of z_t) + positions                    (1)
    β₁, σ₁, γ₁, β₂, σ₂, γ₂ = linear(silu(c))                                    per block             (2)
    x ← x + γ₁ · attention(norm(x) (1 + σ₁) + β₁)                                                     (3)
    x ← x + γ₂ · mlp(norm(x) (1 + σ₂) + β₂),  tanh GELU                                               (4)
    [ε̂, v] = linear(norm(x) (1 + σ) + β),  β, σ = linear(silu(c)),  patch by patch                     (5)

v places the variance of the reverse step (`jaxaudit_kernels.learned_variance`). Labels are never dropped; the
null label is `num_classes`.
Source: Peebles & Xie, "Scalable diffusion models with transformers", ICCV 2023 (arXiv 2212.09748), §3.2 and
appendix.

Axes: B batch, h and w latent pixels, c channels of a latent, L tokens, C width.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.adaptive import (
    XAVIER,
    FinalLayer,
    LabelEmbedding,
    adaptive_block,
    flattened,
    position_table,
)
from jaxaudit.models.attention import SelfAttention
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import TimeEmbedding
from jaxaudit.models.mlp import MLP
from jaxaudit.models.patches import PatchEmbed, unpatchify
from jaxaudit.models.variant import ModelVariant


@dataclasses.dataclass(frozen=True)
class DiTConfig:
    """Shape of a DiT; the defaults are those of XL/2 for 256 px pictures.

    Attributes:
      num_classes: class labels; one more embedding row is the null label.
      depth: number of blocks.
      width: C, a multiple of 4.
      num_heads: a divisor of C.
      mlp_ratio: hidden units of an MLP in units of C.
      latent_size: h and w.
      latent_channels: c.
      patch_size: latent pixels per side of a token, a divisor of `latent_size`.
      learned_variance: whether v of (5) is there.

    Raises:
      InputError: if a size is none, something does not divide what it should, or there are no classes.
    """

    num_classes: int = 1000
    depth: int = 28
    width: int = 1152
    num_heads: int = 16
    mlp_ratio: float = 4.0
    latent_size: int = 32
    latent_channels: int = 4
    patch_size: int = 2
    learned_variance: bool = True

    def __post_init__(self):
        check_sizes(self, "depth", "width", "num_heads", "latent_size", "latent_channels", "patch_size")
        if self.num_classes < 1:
            raise InputError(f"num_classes={self.num_classes}: a DiT needs at least one class.")
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")
        if self.width % 4:
            raise InputError(f"width={self.width} is not a multiple of 4, which the position table needs.")
        if self.latent_size % self.patch_size:
            raise InputError(f"patch_size={self.patch_size} does not divide latent_size={self.latent_size}.")

    @property
    def num_tokens(self) -> int:
        """L."""
        return (self.latent_size // self.patch_size) ** 2

    @property
    def out_channels(self) -> int:
        """Channels of the network's output."""
        return self.latent_channels * (2 if self.learned_variance else 1)

    @property
    def context_shape(self) -> None:
        """Captions are not among the conditions."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks' names, in order."""
        return tuple(f"blocks_{i}" for i in range(self.depth))


class Block(nn.Module):
    """(2) to (4). Relatives of DiT have other parts in it (`jaxaudit.models.dit_moe`)."""

    config: DiTConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], condition: Float[Array, "B C"]) -> Float[Array, "B L C"]:
        """The residual stream after the block, float32; `condition` is silu(c)."""
        return adaptive_block(x, condition, self.attention(), self.feed_forward(), dtype=self.dtype)

    @nn.nowrap
    def attention(self) -> nn.Module:
        """What (3) adds."""
        heads = self.config.num_heads
        return SelfAttention(heads, True, self.dtype, XAVIER, self.attention_backend, name="attn")

    @nn.nowrap
    def feed_forward(self) -> nn.Module:
        """The MLP of (4)."""
        hidden = round(self.config.width * self.config.mlp_ratio)
        return MLP(hidden, True, self.dtype, XAVIER, name="mlp")


class DiT(nn.Module):
    """The network.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
      attention_backend: what computes attention over whole images.
      block: what a block is.
    """

    config: DiTConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"
    block: ClassVar[type[nn.Module]] = Block

    def setup(self):
        """The layers, named after the released keys."""
        config, width = self.config, self.config.width
        side = config.latent_size // config.patch_size
        self.x_embedder = PatchEmbed(width, config.patch_size, self.dtype, flattened(XAVIER))
        self.pos_embed = self.param("pos_embed", lambda _: jnp.asarray(position_table(width, side))[None])
        self.t_embedder = TimeEmbedding(width, self.dtype)
        self.y_embedder = LabelEmbedding(config.num_classes + 1, width)
        self.blocks = [self.block(config, self.dtype, self.attention_backend) for _ in range(config.depth)]
        self.final_layer = FinalLayer(config.out_channels * config.patch_size**2, self.dtype)

    def __call__(
        self, z_t: Float[Array, "B h w c"], t: Num[Array, " B"], labels: Int[Array, " B"]
    ) -> Float[Array, "B h w out"]:
        """[ε̂, v] float32 of noised latents at the times t, v only with `learned_variance`.

        The positions are a parameter, but get no gradient: training leaves them as they are.
        """
        condition = nn.silu(self.t_embedder(t) + self.y_embedder(labels))
        x = self.x_embedder(z_t) + jax.lax.stop_gradient(self.pos_embed)
        for block in self.blocks:
            x = block(x, condition)
        return unpatchify(self.final_layer(x, condition), self.config.patch_size, "p q c")


def _released(size: int, num_params: int) -> ModelVariant:
    return ModelVariant(
        config=DiTConfig(latent_size=size // 8),
        num_params=num_params,
        source=f"https://dl.fbaipublicfiles.com/DiT/models/DiT-XL-2-{size}x{size}.pt",
        licence="CC-BY-NC-4.0",
    )


VARIANTS: dict[str, ModelVariant] = {
    "dit_xl_2_256": _released(256, 675_129_632),
    "dit_xl_2_512": _released(512, 676_014_368),
}
"""The released models, trained on ImageNet; parameters with the fixed positions."""
