"""The text encoder of a model of captions: text in, the embeddings that its generator reads out.

A config {"generator": ..., "tokenizer": ..., "text_encoder": {...}} is such a model, with the fields of
`CLIPTextConfig` and parameters of that name. What turns text into ids, the vocabulary, lies beside the
parameters. A model without is told stored embeddings.

Axes: B captions, T tokens and D channels of a caption's embedding.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, Int

from jaxaudit.configs import from_dict
from jaxaudit.data.byte_pairs import END, Vocabulary, token_ids
from jaxaudit.errors import InputError
from jaxaudit.families.wiring import parameter_shapes
from jaxaudit.models.clip_text import CLIPText, CLIPTextConfig
from jaxaudit.models.forward import forward
from jaxaudit.runtime.rows import rows_at_once
from jaxaudit.targets import Params, Target

TEXT_ENCODER = "text_encoder"
"""The name of the part, in configs and parameters."""

AnyTarget = TypeVar("AnyTarget", bound=Target)
_CAPTIONS_AT_ONCE = 64


def text_encoder_shapes(config: Mapping[str, Any], context_shape: tuple[int, int] | None) -> Params:
    """{"text_encoder": shapes and dtypes of its parameters}, or {} where a config has none.

    Args:
      config: of a target.
      context_shape: (T, D) of the captions that its generator reads, None if it reads none.

    Raises:
      InputError: if the config holds what it should not, or the generator reads other embeddings.
    """
    encoder = _text_encoder(config)
    if encoder is None:
        return {}
    if encoder.context_shape != context_shape:
        raise InputError(
            f"The text encoder makes embeddings of shape {encoder.context_shape}; the generator reads "
            f"{context_shape or 'no captions'}."
        )
    ids = jax.ShapeDtypeStruct((1, encoder.length), jnp.int32)
    return {TEXT_ENCODER: parameter_shapes(CLIPText(encoder), ids)}


def check_vocabulary(config: Mapping[str, Any], vocabulary: Vocabulary | None) -> None:
    """Raises InputError unless a config with a text encoder has a vocabulary that fits, and no other one."""
    encoder = _text_encoder(config)
    if (encoder is None) != (vocabulary is None):
        raise InputError(
            "There is a text encoder without its vocabulary, vocab.json and merges.txt."
            if encoder
            else "There is a vocabulary and no text encoder to use it."
        )
    if encoder is None or vocabulary is None:
        return
    if (largest := max(vocabulary.ids.values())) >= encoder.vocab_size:
        raise InputError(
            f"The vocabulary has an id {largest}; the text encoder knows 0..{encoder.vocab_size - 1}."
        )
    if (end := vocabulary.ids[END]) != encoder.end_token:
        raise InputError(
            f"The vocabulary ends captions with {end}, the text encoder with {encoder.end_token}."
        )


def with_text_encoder(
    target: AnyTarget,
    config: Mapping[str, Any],
    vocabulary: Vocabulary | None,
    *,
    dtype: DTypeLike = jnp.float32,
) -> AnyTarget:
    """The target that embeds captions itself, if its config has a text encoder.

    Captions are embedded in groups of one size, so that an embedding does not depend on the others asked for.

    Args:
      target: whose parameters hold those of the text encoder.
      config: its config.
      vocabulary: of the text encoder; None for a target without one.
      dtype: compute dtype.

    Raises:
      InputError: as `check_vocabulary`.
    """
    check_vocabulary(config, vocabulary)
    encoder = _text_encoder(config)
    if encoder is None or vocabulary is None:
        return target
    params, encode = target.params[TEXT_ENCODER], _encode(encoder, jnp.dtype(dtype))
    size = rows_at_once(target.platform) or _CAPTIONS_AT_ONCE

    def embed(captions: Sequence[str]) -> Float32[np.ndarray, "B T D"]:
        ids = token_ids(vocabulary, captions, length=encoder.length, pad=encoder.pad_token)
        groups = [ids[start : start + size] for start in range(0, len(ids), size)]
        filled = [np.pad(group, ((0, size - len(group)), (0, 0)), "edge") for group in groups]
        return np.concatenate([np.asarray(encode(params, group)) for group in filled])[: len(ids)]

    return dataclasses.replace(target, embed_captions=embed)


def _text_encoder(config: Mapping[str, Any]) -> CLIPTextConfig | None:
    return from_dict(CLIPTextConfig, config[TEXT_ENCODER]) if TEXT_ENCODER in config else None


@functools.cache  # equal encoders share their compiled program
def _encode(config: CLIPTextConfig, dtype: np.dtype) -> Callable[..., Float[Array, "B T D"]]:
    encoder = CLIPText(config, dtype)

    def encode(params: Params, ids: Int[Array, "B L"]) -> Float[Array, "B T D"]:
        return forward(encoder, params, ids)

    return jax.jit(encode)
