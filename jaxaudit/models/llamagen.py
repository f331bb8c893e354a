"""LlamaGen, a Llama over the tokens of a picture in raster order.

The sequence is the class, then the N tokens, each an embedding x:

    x ← x + attention(norm₁(x)),  x ← x + gated(norm₂(x))                                             (1)
    h = norm(x),  logits = W h;  position n predicts token n                                          (2)
    norm(x) = g · x / √(mean x² + 10⁻⁵)                                                               (3)

attention is softmax(q kᵀ / √d) v over the positions up to the query's, with q and k turned by
`jaxaudit.models.rotary`; gated is (2) of `jaxaudit.models.mlp` with the SiLU. No map
has a bias.
The class is no cell of the grid. The released models multiply its q and k by zero, instead of leaving them
as they are: the class attends to itself alone, and every token sees it with logit 0.
Labels are never dropped; the null label is `num_classes`.
Source: Sun et al., "Autoregressive model beats diffusion: Llama for scalable image generation",
arXiv 2406.06525, section 2.2.

Axes: B batch, n tokens read (n ≤ N), T positions in one call, H heads, d head width, P = d / 2 pairs of
channels, C width, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError
from jaxaudit.models.attention import Cache, KeysValues, causal_attention, merge_heads, split_heads
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import Dense
from jaxaudit.models.mlp import GatedMLP
from jaxaudit.models.rotary import rotate, rotations
from jaxaudit.models.variant import ModelVariant

_NORMAL = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class LlamaGenConfig:
    """Shape of a LlamaGen transformer.

    Attributes:
      num_classes: class labels; the null label comes after the last.
      depth: number of blocks.
      width: C.
      num_heads: H, a divisor of C that leaves heads of a multiple of four channels.
      mlp_width: hidden units of the gated MLP.
      vocab_size: V.
      num_tokens: N, tokens of a picture, a square.

    Raises:
      InputError: if a size is none, the heads do not divide the width so, or the tokens are no square.
    """

    num_classes: int = 1000
    depth: int = 12
    width: int = 768
    num_heads: int = 12
    mlp_width: int = 2048
    vocab_size: int = 16384
    num_tokens: int = 256

    def __post_init__(self):
        check_sizes(self, "depth", "width", "num_heads", "mlp_width", "vocab_size", "num_tokens")
        if self.width % (4 * self.num_heads):
            raise InputError(
                f"num_heads={self.num_heads} does not divide width={self.width} into heads of a multiple of "
                "four channels."
            )
        if self.num_tokens != math.isqrt(max(self.num_tokens, 0)) ** 2:
            raise InputError(f"num_tokens={self.num_tokens} is no square.")

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks, in order."""
        return tuple(f"layers_{i}" for i in range(self.depth))

    @property
    def rotations(self) -> Float[np.ndarray, "_ P 2"]:
        """cos and sin [N+1,P,2] of every position; both are zero for the class."""
        cells = rotations(math.isqrt(self.num_tokens), self.width // self.num_heads)
        return np.concatenate([np.zeros_like(cells[:1]), cells])


def _norm(name: str | None = None) -> nn.RMSNorm:
    """(3), float32."""
    return nn.RMSNorm(epsilon=1e-5, name=name)


class Attention(nn.Module):
    """Causal attention of turned queries and keys. With a cache, x starts at position `first`."""

    config: LlamaGenConfig
    dtype: DTypeLike
    backend: AttentionBackend

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T C"],
        rotation: Float[Array, "T P 2"],
        cache: KeysValues | None,
        first: ArrayLike,
    ) -> tuple[Float[Array, "B T C"], KeysValues]:
        """The heads' outputs, mixed by a linear map, float32, and the keys and values so far."""

        def linear(features: int, name: str) -> Dense:
            return Dense(features, use_bias=False, dtype=self.dtype, kernel_init=_NORMAL, name=name)

        width = self.config.width
        q, k, v = split_heads(linear(3 * width, "wqkv")(x), self.config.num_heads, "b h l d")
        q, k = rotate(q, rotation), rotate(k, rotation)
        q, k, v = (part.astype(self.dtype) for part in (q, k, v))
        out, cache = causal_attention(q, k, v, cache, first, backend=self.backend)
        return linear(width, "wo")(merge_heads(out, "b h l d")), cache


class Block(nn.Module):
    """(1)."""

    config: LlamaGenConfig
    dtype: DTypeLike
    attention_backend: AttentionBackend

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T C"],
        rotation: Float[Array, "T P 2"],
        cache: KeysValues | None,
        first: ArrayLike,
    ) -> tuple[Float[Array, "B T C"], KeysValues]:
        """The residual stream after the block, and its keys and values so far."""
        attention = Attention(self.config, self.dtype, self.attention_backend, name="attention")
        h, cache = attention(_norm("attention_norm")(x), rotation, cache, first)
        x = x + h
        mlp = GatedMLP(self.config.mlp_width, nn.silu, False, self.dtype, _NORMAL, name="feed_forward")
        return x + mlp(_norm("ffn_norm")(x)), cache


class LlamaGen(nn.Module):
    """The transformer. Its methods read the first n ≤ N tokens; nothing depends on a later one.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
      attention_backend: what computes attention over whole images.
    """

    config: LlamaGenConfig
    dtype: DTypeLike = jnp.float32
    attention_backend: AttentionBackend = "xla"

    def setup(self):
        """The layers, named after the released keys."""
        config = self.config
        self.cls_embedding = nn.Embed(config.num_classes + 1, config.width, embedding_init=_NORMAL)
        self.tok_embeddings = nn.Embed(config.vocab_size, config.width, embedding_init=_NORMAL)
        self.layers = [Block(config, self.dtype, self.attention_backend) for _ in config.blocks]
        self.norm = _norm()
        self.output = Dense(
            config.vocab_size, use_bias=False, dtype=self.dtype, kernel_init=nn.initializers.zeros
        )

    def __call__(self, tokens: Int[Array, "B n"], labels: Int[Array, " B"]) -> Float[Array, "B n+1 V"]:
        """Teacher-forced logits float32; row i predicts token i."""
        return self.output(self.hidden(tokens, labels))

    def hidden(self, tokens: Int[Array, "B n"], labels: Int[Array, " B"]) -> Float[Array, "B n+1 C"]:
        """Teacher-forced hidden states, ready for the linear head; row i predicts token i.

        Under mutable=["activations"] each gated MLP sows its hidden units [B,n+1,F] at all positions.
        """
        return self.prefill(tokens, labels)[0]

    def prefill(
        self, tokens: Int[Array, "B n"], labels: Int[Array, " B"]
    ) -> tuple[Float[Array, "B n+1 C"], Cache]:
        """The hidden states, and the keys and values of all n + 1 positions."""
        x = jnp.concatenate([self.cls_embedding(labels)[:, None], self.tok_embeddings(tokens)], axis=1)
        return self._run(x, None, 0)

    def step(
        self, tokens: Int[Array, " B"], labels: Int[Array, " B"], index: ArrayLike, cache: Cache
    ) -> tuple[Float[Array, "B C"], Cache]:
        """Reads token `index`: the hidden states that predict the next token, and the cache with this one.

        `cache` holds the index + 1 positions before, and room for more; the first knows the labels.
        """
        del labels
        states, cache = self._run(self.tok_embeddings(tokens)[:, None], cache, index + 1)
        return states[:, 0], cache

    def head(self, hidden: Float[Array, "B C"]) -> Float[Array, "B V"]:
        """Logits float32 of hidden states."""
        return self.output(hidden)

    def _run(
        self, x: Float[Array, "B T C"], cache: Cache | None, first: ArrayLike
    ) -> tuple[Float[Array, "B T C"], Cache]:
        """(1) and (2) for the embeddings x at positions first .. first + T - 1."""
        rotation = jax.lax.dynamic_slice_in_dim(jnp.asarray(self.config.rotations), first, x.shape[1])
        present = []
        for i, layer in enumerate(self.layers):
            x, keys_values = layer(x, rotation, cache[i] if cache else None, first)
            present.append(keys_values)
        return self.norm(x).astype(self.dtype), tuple(present)


_SIZES = {
    "b": (LlamaGenConfig(), 110_888_448),
    "l": (LlamaGenConfig(depth=24, width=1024, num_heads=16, mlp_width=2816), 342_910_976),
    "xl": (LlamaGenConfig(depth=36, width=1280, num_heads=20, mlp_width=3584), 774_699_520),
    "xxl": (LlamaGenConfig(depth=48, width=1536, num_heads=24, mlp_width=4096), 1_410_972_672),
    "3b": (LlamaGenConfig(depth=24, width=3200, num_heads=32, mlp_width=8704), 3_096_659_200),
}


def _released(size: str, pixels: int) -> ModelVariant:
    config, num_params = _SIZES[size]
    return ModelVariant(
        config=dataclasses.replace(config, num_tokens=(pixels // 16) ** 2),
        num_params=num_params,
        source=f"https://huggingface.co/FoundationVision/LlamaGen/resolve/main/c2i_{size.upper()}_{pixels}.pt",
        licence="MIT",
    )


VARIANTS: dict[str, ModelVariant] = {
    f"llamagen_{size}_{pixels}": _released(size, pixels)
    for size, pixels in [
        ("b", 256), ("b", 384), ("l", 256), ("l", 384), ("xl", 384), ("xxl", 384), ("3b", 384),
    ]
}  # fmt: skip
"""The released class-conditional models, for pictures of 256 and of 384 px, all on the same tokenizer."""
