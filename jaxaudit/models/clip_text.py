"""CLIP's text encoder: a causal transformer over the tokens of a caption.

With E the token table, P the position table and ids n₁ … n_T,

    x ← E[n] + P                                                                                        (1)
    x ← x + attention(norm(x)),  every token to itself and those before it                              (2)
    x ← x + W₂ φ(W₁ norm(x) + b₁) + b₂,  φ(u) = u σ(1.702 u) ("quick_gelu") or the exact GELU           (3)
    h = norm(x)                                                                                         (4)
    f = W h_e / ‖W h_e‖,  e the first end token                                                         (5)

Stable Diffusion and U-ViT are conditioned on h, all tokens of it (2.x without the last block); VAR-CLIP on f,
with the exact GELU. h depends on the token that fills a caption up behind its end, f does not.
Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021
(arXiv 2103.00020), §2.4.

Axes: B captions, T tokens, C width, D channels of what a generator is told, S its tokens (T, or 1 for f).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.configs import check_sizes
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.models.attention import attention, causal, merge_heads
from jaxaudit.models.layers import Dense, affine_norm
from jaxaudit.models.variant import ModelVariant

_EPS = 1e-5


def _quick_gelu(x: Array) -> Array:
    return x * nn.sigmoid(1.702 * x)


def _exact_gelu(x: Array) -> Array:
    return nn.gelu(x, approximate=False)


_ACTIVATIONS = {"quick_gelu": _quick_gelu, "gelu": _exact_gelu}


@dataclasses.dataclass(frozen=True)
class CLIPTextConfig:
    """Shape of a text encoder, and what a generator is told of its result.

    Attributes:
      vocab_size: rows of the token table.
      length: T; captions are cut and filled up to it.
      width: C.
      depth: number of blocks.
      num_heads: a divisor of C.
      mlp_width: hidden units of the MLP.
      activation: φ, "quick_gelu" or "gelu".
      feature_dim: D of (5), of which a generator is told; None: it is told (4), all tokens.
      end_token: the id that ends a caption.
      pad_token: the id behind the end.

    Raises:
      InputError: if a size is none, the heads do not divide the width, there is no such activation function,
        or a token is not in the table.
    """

    vocab_size: int = 49408
    length: int = 77
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_width: int = 3072
    activation: str = "quick_gelu"
    feature_dim: int | None = None
    end_token: int = 49407
    pad_token: int = 49407

    def __post_init__(self):
        check_sizes(self, "vocab_size", "length", "width", "num_heads", "mlp_width")
        check_sizes(self, "depth", least=0)
        if self.feature_dim is not None:
            check_sizes(self, "feature_dim")
        if self.width % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide width={self.width}.")
        if self.activation not in _ACTIVATIONS:
            raise unknown_name("activation function", self.activation, _ACTIVATIONS)
        for name in ("end_token", "pad_token"):
            if getattr(self, name) not in range(self.vocab_size):
                raise InputError(f"{name}={getattr(self, name)} is not in 0..{self.vocab_size - 1}.")

    @property
    def context_shape(self) -> tuple[int, int]:
        """(S, D) of what a generator is told of a caption."""
        return (self.length, self.width) if self.feature_dim is None else (1, self.feature_dim)


class _SelfAttention(nn.Module):
    config: CLIPTextConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        width, heads = self.config.width, self.config.num_heads

        def heads_of(name: str) -> Float[Array, "B T H d"]:
            y = Dense(width, dtype=self.dtype, name=name)(x).astype(self.dtype)
            return y.reshape(*y.shape[:2], heads, -1)

        q, k, v = (heads_of(name) for name in ("q_proj", "k_proj", "v_proj"))
        visible = causal(x.shape[1], x.shape[1])
        out = merge_heads(attention(q, k, v, layout="b l h d", visible=visible), "b l h d")
        return Dense(width, dtype=self.dtype, name="out_proj")(out)


class Block(nn.Module):
    """(2) and (3)."""

    config: CLIPTextConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        """The residual stream after the block, float32."""
        config = self.config
        x = x + _SelfAttention(config, self.dtype, name="self_attn")(
            affine_norm(eps=_EPS, name="layer_norm1")(x)
        )
        hidden = Dense(config.mlp_width, dtype=self.dtype, name="fc1")(
            affine_norm(eps=_EPS, name="layer_norm2")(x)
        )
        return x + Dense(config.width, dtype=self.dtype, name="fc2")(_ACTIVATIONS[config.activation](hidden))


class CLIPText(nn.Module):
    """The text encoder.

    Attributes:
      config: the shape.
      dtype: compute dtype of matrix products; the residual stream, norms and softmax are float32.
    """

    config: CLIPTextConfig
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the released keys."""
        config = self.config
        self.token_embedding = nn.Embed(config.vocab_size, config.width)
        self.position_embedding = nn.Embed(config.length, config.width)
        self.layers = [Block(config, self.dtype) for _ in range(config.depth)]
        self.final_layer_norm = affine_norm(eps=_EPS)
        if config.feature_dim is not None:
            self.text_projection = Dense(config.feature_dim, use_bias=False, dtype=self.dtype)

    def __call__(self, ids: Int[Array, "B T"]) -> Float[Array, "B S D"]:
        """What a generator is told, float32: (4), or (5) as one token."""
        if self.config.feature_dim is None:
            return self.hidden(ids)
        feature = self.projected(ids)
        return (feature / jnp.linalg.norm(feature, axis=-1, keepdims=True))[:, None]

    def hidden(self, ids: Int[Array, "B T"]) -> Float[Array, "B T C"]:
        """(4), float32."""
        x = self.token_embedding(ids) + self.position_embedding(jnp.arange(ids.shape[1]))[None]
        for block in self.layers:
            x = block(x)
        return self.final_layer_norm(x)

    def pooled(self, ids: Int[Array, "B T"]) -> Float[Array, "B C"]:
        """h_e of (5), float32."""
        ends = jnp.argmax(ids == self.config.end_token, axis=1)
        return jnp.take_along_axis(self.hidden(ids), ends[:, None, None], axis=1)[:, 0]

    def projected(self, ids: Int[Array, "B T"]) -> Float[Array, "B D"]:
        """W h_e of (5), float32."""
        return self.text_projection(self.pooled(ids))


FEATURE_ACTIVATION = "gelu"
"""φ of the feature that VAR-CLIP was trained on, though the weights were trained with "quick_gelu": its code
loads them by a path into open_clip's ViT-L-14, which has the exact GELU.

Source: https://github.com/daixiangzi/VAR-CLIP, models/clip.py (`clip_vit_l14`);
https://github.com/mlfoundations/open_clip, model_configs/ViT-L-14.json and factory.py (`create_model`).
"""

_L = "https://huggingface.co/openai/clip-vit-large-patch14/resolve/main/model.safetensors"


def _released(num_params: int, source: str = _L, **fields: Any) -> ModelVariant:
    return ModelVariant(config=CLIPTextConfig(**fields), num_params=num_params, source=source, licence="MIT")


VARIANTS: dict[str, ModelVariant] = {
    "clip_l_hidden": _released(123_060_480),
    "clip_l_feature": _released(123_650_304, feature_dim=768, pad_token=0, activation=FEATURE_ACTIVATION),
    "clip_h_hidden": _released(
        340_387_840,
        "https://huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K/resolve/main/model.safetensors",
        width=1024,
        depth=23,
        num_heads=16,
        mlp_width=4096,
        activation="gelu",
        pad_token=0,
    ),
}
"""The text encoder of ViT-L/14, as Stable Diffusion 1.x and U-ViT read it, and as VAR-CLIP does; that of
ViT-H/14 as Stable Diffusion 2.x reads it: all but the last of its 24 blocks."""
