"""RAR, a causal transformer over the tokens of a picture in raster order.

The sequence has N + 2 positions: a start vector, the condition (a class, or "none") and the N tokens. With
s_p the id at position p, E the one embedding of all ids, and tables P of positions, Q of the positions one
ahead (the targets) and T of steps:

    x_p = E[s_p] + P_p + Q_{p+1}      (E[s_0] is the start vector; Q is zero for p = 0 and p = N + 1)  (1)
    a_p = silu(E[s_1] + T_p)                                                                           (2)
    x ← x + γ₁ · attention(norm1(x) (1 + σ₁) + β₁)                                                     (3)
    x ← x + γ₂ · mlp(norm2(x) (1 + σ₂) + β₂),  exact GELU                                              (4)
    h = norm(x) (1 + σ) + β,  logits = linear(h);  position 1 + n predicts token n                     (5)

β, σ and γ are linear in a, own per block and position. attention is softmax(q kᵀ / √d) v over the positions
up to the query's, with q and k layer-normalised per head.
Training permutes the order of the tokens, less and less; the released models are evaluated in raster order,
the only one here. Labels are never dropped; the null label is `num_classes`.
Source: Yu et al., "Randomized autoregressive visual generation", ICCV 2025 (arXiv 2411.00776), section 3.

Axes: B batch, n tokens read (n ≤ N), T positions in one call, K keys, H heads, d head width, C width,
F hidden units of the MLP, V vocabulary.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention import Cache, KeysValues, causal_attention, merge_heads, split_heads
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import Dense, affine_norm, layer_norm
from jaxaudit.models.mlp import MLP
from jaxaudit.models.variant import ModelVariant

# The released tables are longer than a picture; raster order never reads the rest.
SPARE_POSITIONS = 1024
SPARE_STEPS = 100

_NORMAL = nn.initializers.truncated_normal(0.02)


@dataclasses.dataclass(frozen=True)
class RARConfig:
    """Shape of a RAR transformer.

    Attributes:
      num_classes: class labels; the null label comes after the last.
      depth: number of blocks.
      width: C.
      num_heads: H, a divisor of C.
      mlp_width: F.
      vocab_size: V.
      num_tokens: N, tokens of a picture.

    Raises:
      InputError: if a size is none, or the heads do not divide the width.
    """

    num_classes: int = 1000
    depth: int = 24
    width: int = 768
    num_heads: int = 16
    mlp_width: int = 3072
    vocab_size: int = 1024
    num_tokens: int = 256

    def __post_init__(self):
        check_sizes(self, "depth", "width", "num_heads", "mlp_width", "vocab_size", "num_tokens")
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")


def _modulation(
    a: Float[Array, "B T C"], width: int, count: int, dtype: DTypeLike
) -> list[Float[Array, "B T C"]]:
    """`count` vectors linear in a; all zero at the start of training."""
    linear = Dense(count * width, dtype=dtype, kernel_init=nn.initializers.zeros, name="adaLN_modulation_1")
    return jnp.split(linear(a), count, axis=-1)


class _SelfAttention(nn.Module):
    """Causal attention. With a cache, x starts at position `first`, and the cache keeps its size."""

    config: RARConfig
    dtype: DTypeLike
    backend: AttentionBackend

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T C"], cache: KeysValues | None, first: ArrayLike
    ) -> tuple[Float[Array, "B T C"], KeysValues]:
        config = self.config
        qkv = Dense(3 * config.width, dtype=self.dtype, kernel_init=_NORMAL, name="qkv")(x)
        q, k, v = split_heads(qkv, config.num_heads, "b h l d")
        q, k = affine_norm(name="q_norm")(q), affine_norm(name="k_norm")(k)
        q, k, v = (part.astype(self.dtype) for part in (q, k, v))
        out, cache = causal_attention(q, k, v, cache, first, backend=self.backend)
        proj = Dense(config.width, dtype=self.dtype, kernel_init=_NORMAL, name="proj")
        return proj(merge_heads(out, "b h l d")), cache


class _Block(nn.Module):
    """(3) and (4)."""

    config: RARConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend = "xla"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T C"], a: Float[Array, "B T C"], cache: KeysValues | None, first: ArrayLike
    ) -> tuple[Float[Array, "B T C"], KeysValues]:
        config = self.config
        shift1, scale1, gate1, shift2, scale2, gate2 = _modulation(a, config.width, 6, self.dtype)
        h, cache = _SelfAttention(config, self.dtype, self.attention_backend, name="attn")(
            affine_norm(name="norm1")(x) * (1 + scale1) + shift1, cache, first
        )
        x = x + gate1 * h
        mlp = MLP(config.mlp_width, False, self.dtype, _NORMAL, name="mlp")
        return x + gate2 * mlp(affine_norm(name="norm2")(x) * (1 + scale2) + shift2), cache


class _FinalNorm(nn.Module):
    """h of (5). Unlike in the blocks, the scale comes before the shift, and the norm has no parameters."""

    config: RARConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"], a: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        scale, shift = _modulation(a, self.config.width, 2, self.dtype)
        return layer_norm(x) * (1 + scale) + shift


class RAR(nn.Module):
    """The transformer. Its methods read the first n ≤ N tokens; nothing depends on a later one.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
      attention_backend: what computes attention over whole images.
    """

    config: RARConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    def setup(self):
        """The layers, named after the released keys."""
        config = self.config
        positions = (1, config.num_tokens + SPARE_POSITIONS, config.width)
        steps = (1, config.num_tokens + SPARE_STEPS, config.width)
        # Ids: tokens 0 .. V - 1, a mask V, classes V + 1 .. V + num_classes, "none".
        ids = config.vocab_size + 1 + config.num_classes + 1
        self.cls_token = self.param("cls_token", nn.initializers.zeros, (1, 1, config.width), jnp.float32)
        self.embeddings = nn.Embed(ids, config.width, dtype=jnp.float32, embedding_init=_NORMAL)
        self.pos_embed = self.param("pos_embed", _NORMAL, positions, jnp.float32)
        self.target_aware_pos_embed = self.param("target_aware_pos_embed", _NORMAL, positions, jnp.float32)
        self.timesteps_embeddings = self.param("timesteps_embeddings", _NORMAL, steps, jnp.float32)
        self.blocks = [_Block(config, self.dtype, self.attention_backend) for _ in range(config.depth)]
        self.adaln_before_head = _FinalNorm(config, self.dtype)
        self.lm_head = Dense(config.vocab_size, dtype=self.dtype, kernel_init=_NORMAL)

    def __call__(self, tokens: Int[Array, "B n"], labels: Int[Array, " B"]) -> Float[Array, "B n+1 V"]:
        """Teacher-forced logits float32; row i predicts token i."""
        return self.lm_head(self.hidden(tokens, labels))

    def hidden(self, tokens: Int[Array, "B n"], labels: Int[Array, " B"]) -> Float[Array, "B n+1 C"]:
        """Teacher-forced hidden states, ready for the linear head; row i predicts token i.

        Under mutable=["activations"] each MLP sows its hidden units [B,n+2,F] at all positions.
        """
        return self.prefill(tokens, labels)[0]

    def prefill(
        self, tokens: Int[Array, "B n"], labels: Int[Array, " B"]
    ) -> tuple[Float[Array, "B n+1 C"], Cache]:
        """The hidden states, and the keys and values of all n + 2 positions."""
        condition = self._condition(labels)
        start = jnp.broadcast_to(self.cls_token, condition.shape)
        x = jnp.concatenate([start, condition, self.embeddings(tokens)], axis=1)
        states, cache = self._run(x, condition, None, 0)
        return states[:, 1:], cache

    def step(
        self, tokens: Int[Array, " B"], labels: Int[Array, " B"], index: ArrayLike, cache: Cache
    ) -> tuple[Float[Array, "B C"], Cache]:
        """Reads token `index`: the hidden states that predict the next token, and the cache with this one.

        `cache` holds the index + 2 positions before, and room for more.
        """
        x = self.embeddings(tokens)[:, None]
        states, cache = self._run(x, self._condition(labels), cache, index + 2)
        return states[:, 0], cache

    def head(self, hidden: Float[Array, "B C"]) -> Float[Array, "B V"]:
        """Logits float32 of hidden states."""
        return self.lm_head(hidden)

    def _condition(self, labels: Int[Array, " B"]) -> Float[Array, "B 1 C"]:
        return self.embeddings(self.config.vocab_size + 1 + labels)[:, None]

    def _run(
        self,
        x: Float[Array, "B T C"],
        condition: Float[Array, "B 1 C"],
        cache: Cache | None,
        first: ArrayLike,
    ) -> tuple[Float[Array, "B T C"], Cache]:
        """(1) to (5) for the embedded ids x at positions first .. first + T - 1."""
        targets = self.target_aware_pos_embed[:, 2 : 2 + self.config.num_tokens]
        targets = jnp.pad(targets, ((0, 0), (1, 1), (0, 0)))

        def rows(table: Float[Array, "1 K C"]) -> Float[Array, "1 T C"]:
            return jax.lax.dynamic_slice_in_dim(table, first, x.shape[1], axis=1)

        x = x + rows(self.pos_embed) + rows(targets)
        a = nn.silu(condition + rows(self.timesteps_embeddings))
        present = []
        for i, block in enumerate(self.blocks):
            x, keys_values = block(x, a, cache[i] if cache else None, first)
            present.append(keys_values)
        return self.adaln_before_head(x, a).astype(self.dtype), tuple(present)


def _released(name: str, depth: int, width: int, mlp_width: int, num_params: int) -> ModelVariant:
    return ModelVariant(
        config=RARConfig(depth=depth, width=width, mlp_width=mlp_width),
        num_params=num_params,
        source=f"https://huggingface.co/yucornetto/RAR/resolve/main/{name}.bin",
        licence="Apache-2.0",
    )


VARIANTS: dict[str, ModelVariant] = {
    "rar_b": _released("rar_b", 24, 768, 3072, 260_923_648),
    "rar_l": _released("rar_l", 24, 1024, 4096, 461_668_352),
    "rar_xl": _released("rar_xl", 32, 1280, 5120, 955_425_024),
    "rar_xxl": _released("rar_xxl", 40, 1408, 6144, 1_498_520_704),
}
"""The released models, for 256 px pictures; the licence is that of the repository that releases them."""
