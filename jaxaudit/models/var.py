"""VAR: a transformer that predicts the tokens of one scale at once from all smaller scales.

With c the embedding of the class, or a linear map of that of a caption, and x the input of scale s (scale 1:
c + pos_start; later ones: a linear map of the tokenizer's `next_input`), plus level and position embeddings,
each block computes

    γ₁, γ₂, σ₁, σ₂, β₁, β₂ = linear(silu(c))                      (own per block, or shared + ada_gss)     (1)
    x ← x + γ₁ · attention(norm(x) (1 + σ₁) + β₁)                                                          (2)
    x ← x + γ₂ · mlp(norm(x) (1 + σ₂) + β₂),  tanh GELU                                                    (3)

    attention: softmax(τ q̂ k̂ᵀ) v over the keys of scales ≤ s, with q̂, k̂ of unit length and
               τ = min(e^scale_mul, 100)  (without attn_l2_norm: plain q, k and τ = 1 / (4 √d))            (4)

Row n of the result predicts token n. Labels and captions are never dropped; the null label is `num_classes`,
and `noise` is the embedding that stands for no caption.
Source: Tian et al., "Visual autoregressive modeling", NeurIPS 2024 (arXiv 2404.02905), §3 and appendix; with
captions Zhang et al., "VAR-CLIP", arXiv 2408.01181.

Axes: B batch, L tokens of all scales, M those of all but the first; l tokens of the scales in one call,
m those of them with an input, all but scale 0's; H heads, d head width, C width, P = 6 C, Z channels of a
code, V vocabulary, D channels of a caption's embedding.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import einops
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention import Cache, KeysValues, block_causal_attention, merge_heads, split_heads
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import Dense, layer_norm, unit_length
from jaxaudit.models.mlp import MLP
from jaxaudit.models.variant import ModelVariant

Told = Int[Array, " B"] | Float[Array, "B 1 D"]
"""Class labels, or embeddings of captions."""

_PATCHES_256 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
_PATCHES_512 = (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)


@dataclasses.dataclass(frozen=True)
class VARConfig:
    """Shape of a VAR transformer.

    Attributes:
      num_classes: class labels; one more embedding row is the null label. 0: no labels.
      context_dim: D, where captions take the place of labels; 0: no captions.
      depth: number of blocks.
      width: C.
      num_heads: H, a divisor of C.
      mlp_ratio: hidden units of the MLP in units of C.
      vocab_size: V.
      token_dim: Z, channels of a code.
      patch_nums: tokens per side of each scale, ascending.
      shared_aln: one linear map (1) for all blocks.
      attn_l2_norm: cosine attention, see (4).

    Raises:
      InputError: if a size is none, the heads do not divide the width, or there are labels and captions, or
        neither.
    """

    num_classes: int = 1000
    context_dim: int = 0
    depth: int = 16
    width: int = 1024
    num_heads: int = 16
    mlp_ratio: float = 4.0
    vocab_size: int = 4096
    token_dim: int = 32
    patch_nums: tuple[int, ...] = _PATCHES_256
    shared_aln: bool = False
    attn_l2_norm: bool = True

    def __post_init__(self):
        check_sizes(self, "depth", "width", "num_heads", "vocab_size", "token_dim", "patch_nums")
        check_sizes(self, "num_classes", "context_dim", least=0)
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")
        if bool(self.num_classes) == bool(self.context_dim):
            raise InputError(
                f"num_classes={self.num_classes}, context_dim={self.context_dim}: a VAR is told classes or "
                "captions; one of them must be 0."
            )

    @property
    def context_shape(self) -> tuple[int, int] | None:
        """(1, D) of captions, None without."""
        return (1, self.context_dim) if self.context_dim else None

    @property
    def steps(self) -> tuple[int, ...]:
        """Tokens of each scale."""
        return tuple(side * side for side in self.patch_nums)


def _normal(config: VARConfig, gain: float = 1.0) -> Initializer:
    """The initialiser of every linear map and embedding: N(0, gain² / 3C)."""
    return nn.initializers.normal(gain * (3 * config.width) ** -0.5)


def _residual(config: VARConfig) -> Initializer:
    """The initialiser of the maps back into the residual stream."""
    return _normal(config, (2 * config.depth) ** -0.5)


def _modulation(config: VARConfig) -> Initializer:
    """The initialiser of (1), last axes γ₁, γ₂, σ₁, σ₂, β₁, β₂: gates start nearly closed."""

    def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        gain = jnp.array([1e-5] * 2 + [0.5] * 4, dtype)[None, :, None]
        normal = _normal(config)(key, shape, dtype, out_sharding)
        return (gain * normal.reshape(-1, 6, config.width)).reshape(shape)

    return init


def _six(modulation: Float[Array, "B P"]) -> Float[Array, "B 1 6 P//6"]:
    """(1) vector by vector, the same for every token."""
    return einops.rearrange(modulation, "b (six c) -> b 1 six c", six=6)


def _per_head(bias: Float[Array, " C"], num_heads: int) -> Float[Array, "1 H 1 d"]:
    return einops.rearrange(bias, "(h d) -> 1 h 1 d", h=num_heads)


class _SelfAttention(nn.Module):
    """(4), with the keys and values of earlier scales in `past`, which keeps to XLA."""

    config: VARConfig
    dtype: DTypeLike
    backend: AttentionBackend

    @nn.compact
    def __call__(
        self, x: Float[Array, "B l C"], past: KeysValues | None, steps: tuple[int, ...]
    ) -> tuple[Float[Array, "B l C"], KeysValues]:
        config, heads = self.config, self.config.num_heads
        head_dim = config.width // heads
        q_bias = self.param("q_bias", nn.initializers.zeros, (config.width,), jnp.float32)
        v_bias = self.param("v_bias", nn.initializers.zeros, (config.width,), jnp.float32)
        qkv = Dense(
            3 * config.width, use_bias=False, dtype=self.dtype, kernel_init=_normal(config), name="mat_qkv"
        )(x)
        q, k, v = split_heads(qkv, heads, "b h l d")
        q, v = q + _per_head(q_bias, heads), v + _per_head(v_bias, heads)
        if config.attn_l2_norm:
            scale_mul = self.param(
                "scale_mul_1H11", nn.initializers.constant(math.log(4)), (1, heads, 1, 1), jnp.float32
            )
            q = unit_length(q) * jnp.exp(jnp.minimum(scale_mul, math.log(100)))
            k = unit_length(k)
        else:
            q = q * (0.25 / math.sqrt(head_dim))
        q, k, v = (part.astype(self.dtype) for part in (q, k, v))
        backend = self.backend
        if past is not None:
            k, v = (jnp.concatenate(pair, axis=2) for pair in zip(past, (k, v), strict=True))
            backend = "xla"
        out = block_causal_attention(q, k, v, steps, layout="b h l d", scale=1.0, backend=backend)
        proj = Dense(config.width, dtype=self.dtype, kernel_init=_residual(config), name="proj")
        return proj(merge_heads(out, "b h l d")), (k, v)


class Block(nn.Module):
    """(1) to (3). `condition` is c [B,C], or the shared modulation [B,1,6,C]."""

    config: VARConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B l C"],
        condition: Float[Array, "B C"] | Float[Array, "B 1 6 C"],
        past: KeysValues | None,
        steps: tuple[int, ...],
    ) -> tuple[Float[Array, "B l C"], KeysValues]:
        """The residual stream after the block, and its keys and values behind those of `past`."""
        config = self.config
        if config.shared_aln:
            modulation = condition + self.param(
                "ada_gss", _modulation(config), (1, 1, 6, config.width), jnp.float32
            )
        else:
            modulation = Dense(
                6 * config.width, dtype=self.dtype, kernel_init=_modulation(config), name="ada_lin_1"
            )(nn.silu(condition))
            modulation = _six(modulation)
        gamma1, gamma2, scale1, scale2, shift1, shift2 = jnp.unstack(modulation, axis=2)
        h, present = _SelfAttention(config, self.dtype, self.attention_backend, name="attn")(
            layer_norm(x) * (1 + scale1) + shift1, past, steps
        )
        x = x + gamma1 * h
        hidden = round(config.width * config.mlp_ratio)
        mlp = MLP(hidden, True, self.dtype, _normal(config), _residual(config), name="ffn")
        return x + gamma2 * mlp(layer_norm(x) * (1 + scale2) + shift2), present


class _HeadNorm(nn.Module):
    """norm(x) (1 + σ) + β with σ, β = linear(silu(c)), before the linear head; `embedding` is c."""

    config: VARConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B l C"], embedding: Float[Array, "B C"]) -> Float[Array, "B l C"]:
        config = self.config
        modulation = Dense(
            2 * config.width, dtype=self.dtype, kernel_init=_normal(config, 0.5), name="ada_lin_1"
        )(nn.silu(embedding))
        scale, shift = jnp.split(modulation[:, None], 2, axis=-1)
        return layer_norm(x) * (1 + scale) + shift


class VAR(nn.Module):
    """The transformer.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
      attention_backend: what computes attention over whole images.
    """

    config: VARConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    def setup(self):
        """The layers, named after the released keys."""
        config, normal = self.config, _normal(self.config)
        num_tokens, first = sum(config.steps), config.steps[0]
        self.word_embed = Dense(config.width, dtype=self.dtype, kernel_init=normal)
        if config.context_dim:
            self.cond_proj = Dense(config.width, dtype=self.dtype, kernel_init=normal)
            self.noise = self.param("noise", normal, (1, config.context_dim), jnp.float32)
        else:
            self.class_emb = nn.Embed(config.num_classes + 1, config.width, embedding_init=normal)
        self.lvl_embed = nn.Embed(len(config.steps), config.width, embedding_init=normal)
        self.pos_start = self.param("pos_start", normal, (1, first, config.width), jnp.float32)
        self.pos_1LC = self.param("pos_1LC", normal, (1, num_tokens, config.width), jnp.float32)
        if config.shared_aln:
            self.shared_ada_lin_1 = Dense(6 * config.width, dtype=self.dtype, kernel_init=_modulation(config))
        self.blocks = [Block(config, self.dtype, self.attention_backend) for _ in range(config.depth)]
        self.head_nm = _HeadNorm(config, self.dtype)
        self.head = Dense(config.vocab_size, dtype=self.dtype, kernel_init=_normal(config, 0.02))

    def __call__(self, var_input: Float[Array, "B M Z"], condition: Told) -> Float[Array, "B L V"]:
        """Teacher-forced logits [B,L,V] float32; row n predicts token n."""
        return self.head(self.hidden(var_input, condition))

    def hidden(self, var_input: Float[Array, "B M Z"], condition: Told) -> Float[Array, "B L C"]:
        """Teacher-forced hidden states [B,L,C], ready for the linear head.

        `var_input` is the tokenizer's, for all scales but the first; `condition` are labels or captions.
        """
        return self.advance(var_input, condition, None, first=0, stop=len(self.config.steps))[0]

    def advance(
        self,
        inputs: Float[Array, "B m Z"],
        condition: Told,
        cache: Cache | None,
        *,
        first: int,
        stop: int,
    ) -> tuple[Float[Array, "B l C"], Cache]:
        """Hidden states of the scales `first` .. `stop` - 1 (static) and the cache grown by them.

        `inputs` holds the tokenizer's `next_input` of these scales, concatenated; scale 0 has none. `cache`
        comes from the scales before `first` (None if there are none).
        """
        config = self.config
        embedding = self.cond_proj(condition[:, 0]) if config.context_dim else self.class_emb(condition)
        x = self.word_embed(inputs)
        if first == 0:
            x = jnp.concatenate([embedding[:, None] + self.pos_start, x], axis=1)
        steps = config.steps[first:stop]
        begin = sum(config.steps[:first])
        levels = np.repeat(np.arange(first, stop), steps)
        x = x + self.lvl_embed(levels)[None] + self.pos_1LC[:, begin : begin + sum(steps)]

        modulation = embedding
        if config.shared_aln:
            modulation = _six(self.shared_ada_lin_1(nn.silu(embedding)))
        present = []
        for i, block in enumerate(self.blocks):
            x, keys_values = block(x, modulation, cache[i] if cache else None, steps)
            present.append(keys_values)
        return self.head_nm(x, embedding).astype(self.dtype), tuple(present)


def _released(depth: int, num_params: int, **options) -> ModelVariant:
    return ModelVariant(
        config=VARConfig(depth=depth, width=64 * depth, num_heads=depth, **options),
        num_params=num_params,
        source=f"https://huggingface.co/FoundationVision/var/resolve/main/var_d{depth}.pth",
        licence="MIT",
    )


VARIANTS: dict[str, ModelVariant] = {
    "var_d16": _released(16, 310_283_520),
    "var_d20": _released(20, 600_917_136),
    "var_d24": _released(24, 1_033_399_360),
    "var_d30": _released(30, 2_010_020_356),
    "var_d36": _released(36, 2_353_893_904, patch_nums=_PATCHES_512, shared_aln=True),
    "var_clip_d16": ModelVariant(
        config=VARConfig(num_classes=0, context_dim=768),
        num_params=310_046_720,
        source="https://github.com/daixiangzi/VAR-CLIP",
        licence="MIT",
    ),
}
"""The released models, for 256 px pictures (d36: 512 px), all on the same tokenizer weights. VAR-CLIP is told
of a caption what CLIP ViT-L/14 makes of it, a feature of unit length."""
