"""U-ViT: a transformer with long skip connections that predicts the noise in an image's latents.

Everything is a token: the noised latent z_t patch by patch, its time n, and what it is conditioned on, a
class label or the embeddings of a caption's tokens.

    x = [label, n, patches],  [n, caption, patches]  or  [n, patches];   x ← x + positions             (1)
    x ← x + attention(norm(x));   x ← x + mlp(norm(x)),  exact GELU             per block             (2)
    x ← linear([x, s]) before (2) in the last half of the blocks, s the output of the first half's
        block of the same distance to the middle one                                                  (3)
    ε̂ = linear(norm(x)), patch by patch, then with `final_conv` a 3 × 3 convolution                    (4)

The time token is the sinusoids of n as they are, n in 1 .. 1000; 0 is no noise at all. Labels are never
dropped; the null label is `num_classes`.
Source: Bao et al., "All are worth words: a ViT backbone for diffusion models", CVPR 2023 (arXiv 2209.12152),
§3 and appendix.

Axes: B batch, h and w latent pixels, c channels of a latent, T tokens of a caption, D their channels,
L tokens, C width.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention import SelfAttention
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import Dense, affine_norm
from jaxaudit.models.mlp import MLP
from jaxaudit.models.patches import PatchEmbed, unpatchify
from jaxaudit.models.variant import ModelVariant
from jaxaudit_kernels.precision import matmul_precision
from jaxaudit_kernels.time_embedding import timestep_embedding

_NORM_EPS = 1e-5
_NORMAL = nn.initializers.truncated_normal(0.02)


@dataclasses.dataclass(frozen=True)
class UViTConfig:
    """Shape of a U-ViT; the defaults are those of H/2 for 256 px pictures of ImageNet.

    Attributes:
      num_classes: class labels; one more embedding row is the null label. 0: no labels.
      context_length, context_dim: T and D of captions, 0 for none; not together with labels.
      depth: number of blocks beside the middle one, even.
      width: C, even.
      num_heads: a divisor of C.
      mlp_ratio: hidden units of an MLP in units of C.
      latent_size: h and w.
      latent_channels: c.
      patch_size: latent pixels per side of a token, a divisor of `latent_size`.
      final_conv: the convolution of (4).

    Raises:
      InputError: if a size is none, something does not divide what it should, or labels and captions are both
        asked for.
    """

    num_classes: int = 1000
    context_length: int = 0
    context_dim: int = 0
    depth: int = 28
    width: int = 1152
    num_heads: int = 16
    mlp_ratio: float = 4.0
    latent_size: int = 32
    latent_channels: int = 4
    patch_size: int = 2
    final_conv: bool = False

    def __post_init__(self):
        check_sizes(self, "width", "num_heads", "latent_size", "latent_channels", "patch_size")
        check_sizes(self, "num_classes", "context_length", "context_dim", "depth", least=0)
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")
        for name in ("width", "depth"):
            if getattr(self, name) % 2:
                raise InputError(f"{name}={getattr(self, name)} is odd; it must be even.")
        if self.latent_size % self.patch_size:
            raise InputError(f"patch_size={self.patch_size} does not divide latent_size={self.latent_size}.")
        if (self.context_length > 0) != (self.context_dim > 0):
            raise InputError(
                f"context_length={self.context_length} and context_dim={self.context_dim}: "
                "captions need both, a model without captions neither."
            )
        if self.num_classes and self.context_length:
            raise InputError(
                f"num_classes={self.num_classes} and context_length={self.context_length}: "
                "a U-ViT is conditioned on labels or on captions, not on both."
            )

    @property
    def num_extras(self) -> int:
        """Tokens before the patches."""
        return 1 + self.context_length + (1 if self.num_classes else 0)

    @property
    def num_tokens(self) -> int:
        """L."""
        return self.num_extras + (self.latent_size // self.patch_size) ** 2

    @property
    def out_channels(self) -> int:
        """Channels of the network's output."""
        return self.latent_channels

    @property
    def context_shape(self) -> tuple[int, int] | None:
        """(T, D) of captions, None without."""
        return (self.context_length, self.context_dim) if self.context_length else None

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks' names, in order."""
        half = range(self.depth // 2)
        return (*(f"in_blocks_{i}" for i in half), "mid_block", *(f"out_blocks_{i}" for i in half))


class Block(nn.Module):
    """(2), after (3) where there is a `skip`."""

    config: UViTConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L C"], skip: Float[Array, "B L C"] | None = None
    ) -> Float[Array, "B L C"]:
        """The residual stream after the block, float32."""
        config = self.config
        if skip is not None:
            both = jnp.concatenate([x, skip], axis=-1)
            x = Dense(config.width, dtype=self.dtype, kernel_init=_NORMAL, name="skip_linear")(both)
        attention = SelfAttention(
            config.num_heads, False, self.dtype, _NORMAL, self.attention_backend, name="attn"
        )
        mlp = MLP(round(config.width * config.mlp_ratio), False, self.dtype, _NORMAL, name="mlp")
        x = x + attention(affine_norm(eps=_NORM_EPS, name="norm1")(x))
        return x + mlp(affine_norm(eps=_NORM_EPS, name="norm2")(x))


class UViT(nn.Module):
    """The network.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
      attention_backend: what computes attention over whole images.
    """

    config: UViTConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    def setup(self):
        """The layers, named after the released keys."""
        config, width = self.config, self.config.width
        self.patch_embed = PatchEmbed(width, config.patch_size, self.dtype, _NORMAL)
        self.pos_embed = self.param("pos_embed", _NORMAL, (1, config.num_tokens, width), jnp.float32)
        if config.num_classes:
            self.label_emb = nn.Embed(
                config.num_classes + 1, width, dtype=jnp.float32, embedding_init=nn.initializers.normal(1.0)
            )
        if config.context_length:
            self.context_embed = Dense(width, dtype=self.dtype, kernel_init=_NORMAL)
        block = functools.partial(Block, config, self.dtype, self.attention_backend)
        self.in_blocks = [block() for _ in range(config.depth // 2)]
        self.mid_block = block()
        self.out_blocks = [block() for _ in range(config.depth // 2)]
        self.norm = affine_norm(eps=_NORM_EPS)
        self.decoder_pred = Dense(
            config.latent_channels * config.patch_size**2, dtype=self.dtype, kernel_init=_NORMAL
        )
        if config.final_conv:
            self.final_layer = nn.Conv(
                config.latent_channels, (3, 3), precision=matmul_precision(jnp.float32), dtype=jnp.float32
            )

    def __call__(
        self,
        z_t: Float[Array, "B h w c"],
        n: Float[Array, " B"] | Int[Array, " B"],
        condition: Int[Array, " B"] | Float[Array, "B T D"] | None = None,
    ) -> Float[Array, "B h w c"]:
        """ε̂ float32 of noised latents at the times n (1 .. 1000), given labels, captions or None."""
        config = self.config
        extras = [timestep_embedding(n, config.width)[:, None]]
        if condition is None and (config.num_classes or config.context_length):
            raise InputError(
                "condition=None: this U-ViT needs "
                + ("class labels." if config.num_classes else "the embeddings of captions.")
            )
        if condition is not None and config.num_classes:
            extras.insert(0, self.label_emb(condition)[:, None])
        if condition is not None and config.context_length:
            extras.append(self.context_embed(condition))
        x = jnp.concatenate([*extras, self.patch_embed(z_t)], axis=1) + self.pos_embed
        skips = []
        for block in self.in_blocks:
            x = block(x)
            skips.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, skips.pop())
        patches = self.decoder_pred(self.norm(x[:, config.num_extras :]))
        eps = unpatchify(patches, config.patch_size, "p q c")
        return self.final_layer(eps) if config.final_conv else eps


def _released(file: str, num_params: int, **fields) -> ModelVariant:
    return ModelVariant(
        config=UViTConfig(**fields),
        num_params=num_params,
        source=f"https://drive.google.com/file/d/{file}/view",
        licence="MIT",
    )


_SMALL = {"num_classes": 0, "width": 512, "num_heads": 8, "final_conv": True}
_CAPTIONS = {"context_length": 77, "context_dim": 768}

VARIANTS: dict[str, ModelVariant] = {
    "uvit_h_2_256": _released("13StUdrjaaSXjfqqF7M47BzPyhMAArQ4u", 500_832_016),
    "uvit_h_4_512": _released("1uegr2o7cuKXtf2akWGAN2Vnlrtw5YKQq", 500_942_656, latent_size=64, patch_size=4),
    "uvit_s_2_t2i": _released(
        "15JsZWRz2byYNU6K093et5e5Xqd4uwA8S", 44_692_644, depth=12, **_SMALL, **_CAPTIONS
    ),
    "uvit_s_2_deep_t2i": _released(
        "1gHRy8sn039Wy-iFL21wH8TiheHK8Ky71", 58_345_636, depth=16, **_SMALL, **_CAPTIONS
    ),
    "uvit_s_2_uncond": ModelVariant(
        config=UViTConfig(depth=12, **_SMALL),
        num_params=44_259_492,
        source="https://drive.google.com/drive/folders/143b1wF1iWEU2DASTk-sfTRwW7KiEC3IX",
        licence="Apache-2.0",
    ),
}
"""The released models: ImageNet with labels, MS-COCO with captions (CLIP ViT-L/14, 77 tokens), and MS-COCO
without any, trained for Dubiński et al. 2025 (arXiv 2411.12858)."""
