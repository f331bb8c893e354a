"""MDT: a diffusion transformer that has learned to see the noise of tokens that are hidden from it.

With a noised latent z_t, a time t (0 .. 999) and a class label y:

    c = mlp(sinusoids(t)) + embedding(y);   e = linear(patches of z_t) + positions;   x = e            (1)
    block(x; s) = DiT's block of linear([x, s]), or of x where it has no skip s                       (2)
    attention(x) = softmax(q kᵀ / √d + b[Δrow, Δcolumn]) v,  b of every block and head, Δ = query − key   (3)
    x ← x + more positions between the encoder's blocks and the decoder's                             (4)
    [ε̂, v] = DiT's last layer of x                                                                    (5)

The blocks of MDT have no skips. Those of MDTv2 do: the last half of the encoder takes what the first half
gave, last in, first out; every block of the decoder takes e.

Training also asks about latents of which some tokens are hidden: the encoder sees the others alone; then

    x = the encoder's output where a token was seen, one learned vector m where it was hidden, + (4)  (6)
    x ← block(x) of one more block where a token was hidden                                           (7)

and the decoder goes on as in (2). DiT's parts are in `jaxaudit.models.adaptive`. Labels are never dropped;
the null label is `num_classes`.
Source: Gao et al., "Masked diffusion transformer is a strong image synthesizer", ICCV 2023 (arXiv
2303.14389, of which version 2 is MDTv2), §3.

Axes: B batch, h and w latent pixels, c channels of a latent, L tokens, M hidden ones, S seen ones, C width,
H heads, R rows of the table b.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
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
from jaxaudit.models.layers import Dense, TimeEmbedding
from jaxaudit.models.mlp import MLP
from jaxaudit.models.patches import PatchEmbed, unpatchify
from jaxaudit.models.variant import ModelVariant

_NORMAL = nn.initializers.normal(0.02)
_UNUSED_ROWS = 3
"""Rows that every table of (3) has beside those of relative positions; nothing reads them."""


@dataclasses.dataclass(frozen=True)
class MDTConfig:
    """Shape of an MDT; the defaults are those of MDTv2-XL/2 for 256 px pictures.

    Attributes:
      num_classes: class labels; one more embedding row is the null label.
      depth: number of blocks, the one of (7) not counted.
      decoder_depth: how many of them are the decoder's.
      skips: whether blocks have the skips of (2); then an even number of them is the encoder's.
      hidden_share: of the tokens, in a pass with hidden ones; in training 0.3 (MDT), 0.3 to 0.5 (MDTv2).
      width: C, a multiple of 4.
      num_heads: a divisor of C.
      mlp_ratio: hidden units of an MLP in units of C.
      latent_size: h and w.
      latent_channels: c.
      patch_size: latent pixels per side of a token, a divisor of `latent_size`.
      learned_variance: whether v of (5) is there.

    Raises:
      InputError: if a size is none, something does not divide what it should, there are no classes, or no
        tokens would be hidden, or none seen.
    """

    num_classes: int = 1000
    depth: int = 28
    decoder_depth: int = 4
    skips: bool = True
    hidden_share: float = 0.4
    width: int = 1152
    num_heads: int = 16
    mlp_ratio: float = 4.0
    latent_size: int = 32
    latent_channels: int = 4
    patch_size: int = 2
    learned_variance: bool = True

    def __post_init__(self):
        check_sizes(self, "width", "num_heads", "latent_size", "latent_channels", "patch_size")
        if self.num_classes < 1:
            raise InputError(f"num_classes={self.num_classes}: an MDT needs at least one class.")
        if not 0 < self.decoder_depth < self.depth:
            raise InputError(
                f"decoder_depth={self.decoder_depth} of depth={self.depth} blocks: encoder and decoder need "
                "at least one each."
            )
        if self.skips and (self.depth - self.decoder_depth) % 2:
            raise InputError(
                f"depth={self.depth} leaves {self.depth - self.decoder_depth} blocks to the encoder, which "
                "with skips needs an even number."
            )
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")
        if self.width % 4:
            raise InputError(f"width={self.width} is not a multiple of 4, which the position table needs.")
        if self.latent_size % self.patch_size:
            raise InputError(f"patch_size={self.patch_size} does not divide latent_size={self.latent_size}.")
        if not 0 < self.num_hidden < self.num_tokens:
            raise InputError(
                f"hidden_share={self.hidden_share} hides {self.num_hidden} of {self.num_tokens} tokens; some "
                "must be hidden and some seen."
            )

    @property
    def side(self) -> int:
        """Tokens in a row, and in a column."""
        return self.latent_size // self.patch_size

    @property
    def num_tokens(self) -> int:
        """L."""
        return self.side**2

    @property
    def num_hidden(self) -> int:
        """M, as training counts."""
        return self.num_tokens - int(self.num_tokens * (1 - self.hidden_share))

    @property
    def out_channels(self) -> int:
        """Channels of the network's output."""
        return self.latent_channels * (2 if self.learned_variance else 1)

    @property
    def context_shape(self) -> None:
        """Captions are not among the conditions."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks' names, in order, without that of (7)."""
        if not self.skips:
            return tuple(f"blocks_{i}" for i in range(self.depth))
        half = (self.depth - self.decoder_depth) // 2
        lengths = {"en_inblocks": half, "en_outblocks": half, "de_blocks": self.decoder_depth}
        return tuple(f"{name}_{i}" for name, length in lengths.items() for i in range(length))


def relative_positions(side: int) -> Int[np.ndarray, "L L"]:
    """The row of b in (3) for each query and key: (Δrow + side − 1)(2 side − 1) + Δcolumn + side − 1."""
    row, column = np.divmod(np.arange(side**2), side)
    rows, columns = (place[:, None] - place[None] + side - 1 for place in (row, column))
    return rows * (2 * side - 1) + columns


def position_bias(
    table: Float[Array, "R H"], side: int, seen: Int[Array, "B S"] | None
) -> Float[Array, "#B H S S"]:
    """b of (3) for all tokens, or for those at the positions `seen`."""
    index = jnp.asarray(relative_positions(side))[None]
    if seen is not None:
        index = index[0][seen[:, :, None], seen[:, None, :]]
    return jnp.moveaxis(table.astype(jnp.float32)[index], -1, 1)


class Block(nn.Module):
    """(2) and (3)."""

    config: MDTConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B S C"],
        condition: Float[Array, "B C"],
        *,
        skip: Float[Array, "B S C"] | None = None,
        seen: Int[Array, "B S"] | None = None,
    ) -> Float[Array, "B S C"]:
        """The residual stream after the block, float32.

        Args:
          x: the residual stream.
          condition: silu(c).
          skip: s of (2).
          seen: the positions of the tokens in x; None: all, in order.
        """
        config = self.config
        if skip is not None:
            both = jnp.concatenate([x, skip], axis=-1)
            x = Dense(config.width, dtype=self.dtype, kernel_init=XAVIER, name="skip_linear")(both)
        rows = (2 * config.side - 1) ** 2 + _UNUSED_ROWS
        table = self.param("relative_position_bias", _NORMAL, (rows, config.num_heads), jnp.float32)
        attention = SelfAttention(config.num_heads, True, self.dtype, XAVIER, name="attn")
        mlp = MLP(round(config.width * config.mlp_ratio), True, self.dtype, XAVIER, name="mlp")
        biased = functools.partial(attention, bias=position_bias(table, config.side, seen))
        return adaptive_block(x, condition, biased, mlp, dtype=self.dtype)


def others(hidden: Int[Array, "B M"], length: int) -> Int[Array, "B S"]:
    """The positions 0 .. length − 1 that are not hidden, ascending."""
    is_hidden = _marked(hidden, length)
    return jnp.argsort(is_hidden, axis=1, stable=True)[:, : length - hidden.shape[1]]


def _marked(positions: Int[Array, "B M"], length: int) -> Array:
    """[B,length], true at the positions."""
    rows = jnp.arange(len(positions))[:, None]
    return jnp.zeros((len(positions), length), bool).at[rows, positions].set(True)


class MDT(nn.Module):
    """The network.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
    """

    config: MDTConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the released keys."""
        config, width = self.config, self.config.width
        positions = jnp.asarray(position_table(width, config.side))[None]
        self.x_embedder = PatchEmbed(width, config.patch_size, self.dtype, flattened(XAVIER))
        self.pos_embed = self.param("pos_embed", lambda _: positions)
        self.decoder_pos_embed = self.param("decoder_pos_embed", lambda _: positions)
        self.mask_token = self.param("mask_token", _NORMAL, (1, 1, width), jnp.float32)
        self.t_embedder = TimeEmbedding(width, self.dtype)
        self.y_embedder = LabelEmbedding(config.num_classes + 1, width)
        block = functools.partial(Block, config, self.dtype)
        encoder, decoder = config.depth - config.decoder_depth, config.decoder_depth
        if config.skips:
            self.en_inblocks = [block() for _ in range(encoder // 2)]
            self.en_outblocks = [block() for _ in range(encoder // 2)]
            self.de_blocks = [block() for _ in range(decoder)]
        else:
            self.blocks = [block() for _ in range(config.depth)]
        self.sideblocks = [block()]
        self.final_layer = FinalLayer(config.out_channels * config.patch_size**2, self.dtype)

    def __call__(
        self,
        z_t: Float[Array, "B h w c"],
        t: Num[Array, " B"],
        labels: Int[Array, " B"],
        hidden: Int[Array, "B M"] | None = None,
    ) -> Float[Array, "B h w out"]:
        """[ε̂, v] float32 of noised latents at the times t, v only with `learned_variance`.

        `hidden` are the positions of the tokens that are hidden from the network, M < L; none by default.
        """
        if hidden is None and self.is_initializing():  # so that (6) and (7) have their parameters
            hidden = jnp.zeros((len(z_t), 1), jnp.int32)
        length = self.config.num_tokens
        seen = None if hidden is None else others(hidden, length)
        condition = nn.silu(self.t_embedder(t) + self.y_embedder(labels))
        embedded = self.x_embedder(z_t) + self.pos_embed
        x = self._encoded(embedded, condition, seen)
        x = self._completed(x, condition, seen)
        for block in self._decoder:
            x = block(x, condition, skip=embedded if self.config.skips else None)
        return unpatchify(self.final_layer(x, condition), self.config.patch_size, "p q c")

    @property
    def _decoder(self) -> Sequence[Block]:
        return self.de_blocks if self.config.skips else self.blocks[-self.config.decoder_depth :]

    def _encoded(
        self, x: Float[Array, "B L C"], condition: Float[Array, "B C"], seen: Int[Array, "B S"] | None
    ) -> Float[Array, "B _ C"]:
        """The encoder's output for the tokens that are seen."""
        if seen is not None:
            x = jnp.take_along_axis(x, seen[:, :, None], axis=1)
        if not self.config.skips:
            for block in self.blocks[: -self.config.decoder_depth]:
                x = block(x, condition, seen=seen)
            return x
        skips = []
        for block in self.en_inblocks:
            x = block(x, condition, seen=seen)
            skips.append(x)
        for block in self.en_outblocks:
            x = block(x, condition, skip=skips.pop(), seen=seen)
        return x

    def _completed(
        self, x: Float[Array, "B _ C"], condition: Float[Array, "B C"], seen: Int[Array, "B S"] | None
    ) -> Float[Array, "B L C"]:
        """(4), or where tokens are hidden (6) and (7)."""
        if seen is None:
            return x + self.decoder_pos_embed
        batch, length = len(x), self.config.num_tokens
        everywhere = jnp.broadcast_to(self.mask_token.astype(jnp.float32), (batch, length, x.shape[-1]))
        x = everywhere.at[jnp.arange(batch)[:, None], seen].set(x) + self.decoder_pos_embed
        (side,) = self.sideblocks
        return jnp.where(_marked(seen, length)[:, :, None], x, side(x, condition))


def _released(version: int, num_params: int, **fields) -> ModelVariant:
    return ModelVariant(
        config=MDTConfig(**fields),
        num_params=num_params,
        source=f"https://huggingface.co/shgao/MDT-XL2/resolve/main/mdt_xl2_v{version}_ckpt.pt",
        licence="Apache-2.0",
    )


VARIANTS: dict[str, ModelVariant] = {
    "mdt_v1_xl_2": _released(1, 699_778_144, decoder_depth=2, skips=False, hidden_share=0.3),
    "mdt_v2_xl_2": _released(2, 742_263_904),
}
"""The released models, trained on ImageNet at 256 px; parameters with those that only hidden tokens need
(23.9 M in MDTv2). The middle of what training hides is hidden."""
