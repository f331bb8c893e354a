"""MAR: a masked autoencoder over continuous tokens.

An image is L tokens, of which M are hidden. With c the class embedding (the null label has its own), K buffer
positions and tables P, P', P'' of positions:

    h = encoder(norm([c … c, linear(visible tokens)] + P))            K + L − M positions              (1)
    z = decoder([linear(h), mask vector where hidden] + P') + P''     at the L tokens                  (2)

encoder and decoder are pre-norm transformers (exact GELU) with a final norm. z conditions the diffusion head
of `jaxaudit.models.mar_head` at the hidden tokens; no hidden token's value reaches it. Labels are never
dropped; the null label is `num_classes`.
Source: Li et al., "Autoregressive image generation without vector quantization", NeurIPS 2024
(arXiv 2406.11838), section 3.

Axes: B batch, L tokens, M hidden tokens, N visible (or read) tokens, K buffer positions, T = K + N positions
that are encoded, Q positions in a block, C width, D channels of a token, F hidden units of an MLP.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention import SelfAttention
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import Dense, affine_norm
from jaxaudit.models.mar_head import DiffusionHead
from jaxaudit.models.mlp import MLP
from jaxaudit.models.patches import PatchOrder
from jaxaudit.models.variant import ModelVariant

PATCH_ORDER: PatchOrder = "c p q"
"""How the latents of a patch stand in a token."""

_NORMAL = nn.initializers.normal(0.02)
_XAVIER = nn.initializers.xavier_uniform()


@dataclasses.dataclass(frozen=True)
class MARConfig:
    """Shape of a MAR; encoder and decoder have the same width.

    Attributes:
      num_classes: class labels; the null label comes after the last.
      depth: number of blocks of the encoder.
      decoder_depth: number of blocks of the decoder; 0: as many.
      width: C.
      num_heads: H, a divisor of C.
      mlp_ratio: F in units of C.
      buffer_size: K.
      side: tokens per side of an image.
      latent_channels: channels of the autoencoder's latents.
      patch_size: latent pixels per side of a token.
      head_depth: blocks of the diffusion head.
      head_width: width of the diffusion head.

    Raises:
      InputError: if a size is none, or the heads do not divide the width.
    """

    num_classes: int = 1000
    depth: int = 12
    width: int = 768
    num_heads: int = 12
    mlp_ratio: float = 4.0
    buffer_size: int = 64
    side: int = 16
    latent_channels: int = 16
    patch_size: int = 1
    head_depth: int = 6
    head_width: int = 1024
    decoder_depth: int = 0

    def __post_init__(self):
        check_sizes(self, "depth", "width", "num_heads", "side", "latent_channels", "patch_size")
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")

    @property
    def num_tokens(self) -> int:
        """L."""
        return self.side**2

    @property
    def depths(self) -> dict[str, int]:
        """Number of blocks by part, the encoder first."""
        return {"encoder": self.depth, "decoder": self.decoder_depth or self.depth}

    @property
    def token_dim(self) -> int:
        """D."""
        return self.latent_channels * self.patch_size**2

    def head(self, dtype: DTypeLike = jnp.float32) -> DiffusionHead:
        """The diffusion head; its parameters are at diffloss/net."""
        return DiffusionHead(self.token_dim, self.head_depth, self.head_width, dtype)


def complement(positions: Int[Array, "B M"], length: int) -> Int[Array, "B N"]:
    """The positions 0 .. length - 1 that are not among the given ones (all different), ascending."""
    rows = jnp.arange(len(positions))[:, None]
    taken = jnp.zeros((len(positions), length), bool).at[rows, positions].set(True)
    return jnp.argsort(taken, axis=1, stable=True)[:, : length - positions.shape[1]]


def take(x: Float[Array, "B L C"], positions: Int[Array, "B M"]) -> Float[Array, "B M C"]:
    """The rows of x at these positions."""
    return jnp.take_along_axis(x, positions[:, :, None], axis=1)


class Block(nn.Module):
    """x ← x + attention(norm1(x));  x ← x + mlp(norm2(x))."""

    config: MARConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B Q C"], shown: Bool[Array, "B Q"] | None = None
    ) -> Float[Array, "B Q C"]:
        """The block's output, float32; only tokens that `shown` marks are attended to (None: all)."""
        config = self.config
        attention = SelfAttention(
            config.num_heads, True, self.dtype, _XAVIER, self.attention_backend, name="attn"
        )
        mlp = MLP(round(config.width * config.mlp_ratio), False, self.dtype, _XAVIER, name="mlp")
        visible = None if shown is None else shown[:, None, None]
        x = x + attention(affine_norm(name="norm1")(x), visible)
        return x + mlp(affine_norm(name="norm2")(x))


class _DiffusionLoss(nn.Module):
    """The place of the diffusion head among the released keys."""

    config: MARConfig
    dtype: DTypeLike

    def setup(self):
        self.net = self.config.head(self.dtype)


class MAR(nn.Module):
    """The transformer, and the parameters of its diffusion head (used by `jaxaudit.models.mar_head`).

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
      attention_backend: what computes attention over whole images.
    """

    config: MARConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    def setup(self):
        """The layers, named after the released keys."""
        config, width = self.config, self.config.width
        length = config.num_tokens
        positions = (1, config.buffer_size + length, width)
        self.class_emb = nn.Embed(config.num_classes, width, dtype=jnp.float32, embedding_init=_NORMAL)
        self.fake_latent = self.param("fake_latent", _NORMAL, (1, width), jnp.float32)
        self.z_proj = Dense(width, dtype=self.dtype, kernel_init=_XAVIER)
        self.z_proj_ln = affine_norm()
        self.encoder_pos_embed_learned = self.param(
            "encoder_pos_embed_learned", _NORMAL, positions, jnp.float32
        )
        block = functools.partial(Block, config, self.dtype, self.attention_backend)
        self.encoder_blocks = [block() for _ in range(config.depths["encoder"])]
        self.encoder_norm = affine_norm()
        self.decoder_embed = Dense(width, dtype=self.dtype, kernel_init=_XAVIER)
        self.mask_token = self.param("mask_token", _NORMAL, (1, 1, width), jnp.float32)
        self.decoder_pos_embed_learned = self.param(
            "decoder_pos_embed_learned", _NORMAL, positions, jnp.float32
        )
        self.decoder_blocks = [block() for _ in range(config.depths["decoder"])]
        self.decoder_norm = affine_norm()
        self.diffusion_pos_embed_learned = self.param(
            "diffusion_pos_embed_learned", _NORMAL, (1, length, width), jnp.float32
        )
        self.diffloss = _DiffusionLoss(config, self.dtype)

    def __call__(
        self,
        tokens: Float[Array, "B L D"],
        labels: Int[Array, " B"],
        hidden: Int[Array, "B M"],
        noised: Float[Array, "B M D"],
        timesteps: Int[Array, "B M"],
    ) -> Float[Array, "B M 2*D"]:
        """The head's [ε̂, v] float32 for the noised hidden tokens."""
        return self.diffloss.net(noised, timesteps, self.conditions(tokens, labels, hidden))

    def conditions(
        self, tokens: Float[Array, "B L D"], labels: Int[Array, " B"], hidden: Int[Array, "B M"]
    ) -> Float[Array, "B M C"]:
        """z float32 at the `hidden` positions (all different), in their order, from all other tokens.

        Under mutable=["activations"] each MLP sows its hidden units: [B,K+L-M,F] in the encoder (the buffer,
        then the visible tokens in ascending order), [B,K+L,F] in the decoder.
        """
        visible = complement(hidden, self.config.num_tokens)
        return take(self.decode(self.encode(tokens, labels, visible), visible), hidden)

    def encode(
        self,
        tokens: Float[Array, "B L D"],
        labels: Int[Array, " B"],
        visible: Int[Array, "B N"],
        shown: Bool[Array, "B N"] | None = None,
    ) -> Float[Array, "B T C"]:
        """h of (1), float32: the buffer, then the tokens at the `visible` positions.

        `shown` [B,N] bool says which of those are visible indeed (None: all); nothing attends to the others.
        It gives programs with a changing number of visible tokens one shape.
        """
        buffer = self.config.buffer_size
        label = jnp.minimum(labels, self.config.num_classes - 1)
        is_null = (labels == self.config.num_classes)[:, None]
        condition = jnp.where(is_null, self.fake_latent, self.class_emb(label))
        positions = self.encoder_pos_embed_learned
        classes = condition[:, None] + positions[:, :buffer]
        pixels = self.z_proj(take(tokens, visible)) + positions[0, buffer:][visible]
        x = self.z_proj_ln(jnp.concatenate([classes, pixels], axis=1))
        if shown is not None:
            shown = jnp.pad(shown, ((0, 0), (buffer, 0)), constant_values=True)
        for block in self.encoder_blocks:
            x = block(x, shown)
        return self.encoder_norm(x)

    def decode(
        self,
        encoded: Float[Array, "B T C"],
        visible: Int[Array, "B N"],
        shown: Bool[Array, "B N"] | None = None,
    ) -> Float[Array, "B L C"]:
        """z of (2), float32, at every token, from h; `visible` and `shown` as given to `encode`."""
        buffer, length = self.config.buffer_size, self.config.num_tokens
        x = self.decoder_embed(encoded)
        if shown is not None:
            visible = jnp.where(shown, visible, length)  # out of range: dropped
        tokens = jnp.broadcast_to(self.mask_token, (len(x), length, self.config.width)).astype(jnp.float32)
        tokens = tokens.at[jnp.arange(len(x))[:, None], visible].set(x[:, buffer:], mode="drop")
        x = jnp.concatenate([x[:, :buffer], tokens], axis=1) + self.decoder_pos_embed_learned
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_norm(x)[:, buffer:] + self.diffusion_pos_embed_learned


def _released(
    name: str, link: str, depth: int, width: int, num_heads: int, head: tuple[int, int], num_params: int
) -> ModelVariant:
    return ModelVariant(
        config=MARConfig(
            depth=depth, width=width, num_heads=num_heads, head_depth=head[0], head_width=head[1]
        ),
        num_params=num_params,
        source=f"https://www.dropbox.com/scl/fi/{link}&dl=1",
        licence="MIT",
    )


_BASE = "f6dpuyjb7fudzxcyhvrhk/checkpoint-last.pth?rlkey=a6i4bo71vhfo4anp33n9ukujb"
_LARGE = "pxacc5b2mrt3ifw4cah6k/checkpoint-last.pth?rlkey=m48ovo6g7ivcbosrbdaz0ehqt"
_HUGE = "1qmfx6fpy3k7j9vcjjs3s/checkpoint-last.pth?rlkey=4lae281yzxb406atp32vzc83o"

VARIANTS: dict[str, ModelVariant] = {
    "mar_base": _released("mar_base", _BASE, 12, 768, 12, (6, 1024), 207_924_768),
    "mar_large": _released("mar_large", _LARGE, 16, 1024, 16, (8, 1280), 478_326_304),
    "mar_huge": _released("mar_huge", _HUGE, 20, 1280, 16, (12, 1536), 942_403_104),
}
"""The released models, for 256 px pictures; the files' exponential moving averages are the ones to use."""
