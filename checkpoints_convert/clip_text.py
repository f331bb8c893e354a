"""CLIP's text encoder: tables of names for the layouts in use, and the config read from shapes and settings.

transformers   `text_model.encoder.layers.0.self_attn.q_proj`, in newer files without `text_model.`; in a file
               of all of CLIP beside the vision model, which is dropped; old files hold `position_ids`
OpenAI         `transformer.resblocks.0.attn.in_proj_weight`: q, k and v in one tensor, `text_projection`
               transposed; `as_transformers` renames

Shapes tell neither the heads nor the activation function: `config.json` beside the file does, or else they
are those of the released encoder with these shapes. Two things are the generator's and not the file's: the
activation function of the feature (`jaxaudit.models.clip_text.FEATURE_ACTIVATION`), and that Stable
Diffusion 2.x reads OpenCLIP's ViT-H/14 without its last block, filled up with 0 (`FrozenOpenCLIPEmbedder` of
https://github.com/Stability-AI/stablediffusion, layer "penultimate"). Folders of 2.x lack that block.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from checkpoints_convert.mapping import Table, drop, keep, linear, linear_kernel, norm
from checkpoints_convert.records import StateDict, count, shape
from checkpoints_convert.stored import StoredArray
from jaxaudit.data.byte_pairs import END, Vocabulary
from jaxaudit.errors import InputError
from jaxaudit.models.clip_text import FEATURE_ACTIVATION, VARIANTS, CLIPTextConfig

_TOP, _LAYER, _LAYER_PATH = r"(?:text_model\.)?", r"(?:text_model\.)?encoder\.layers\.(\d+)", r"layers_\1"

_TABLE: Table = (
    (rf"{_TOP}embeddings\.(token|position)_embedding\.weight", r"\1_embedding/embedding", keep),
    (rf"{_TOP}embeddings\.position_ids", None, drop),
    *linear(rf"{_LAYER}\.self_attn\.([qkv]|out)_proj", rf"{_LAYER_PATH}/self_attn/\2_proj"),
    *norm(rf"{_LAYER}\.(layer_norm[12])", rf"{_LAYER_PATH}/\2"),
    *linear(rf"{_LAYER}\.mlp\.(fc[12])", rf"{_LAYER_PATH}/\2"),
    *norm(rf"{_TOP}final_layer_norm", "final_layer_norm"),
    (r"(?:vision_model|visual_projection)\..+|logit_scale", None, drop),
    (r"input_resolution|context_length|vocab_size", None, drop),  # OpenAI's
)


def table(*, feature: bool) -> Table:
    """Rows of the transformers layout.

    Args:
      feature: whether the generator is told the projected feature; otherwise the projection is of no use.
    """
    path, transform = ("text_projection/kernel", linear_kernel) if feature else (None, drop)
    return (*_TABLE, (r"text_projection\.weight", path, transform))


def is_text_encoder(state: StateDict) -> bool:
    """Whether a state dict holds a text encoder, in either layout."""
    landmarks = (rf"{_TOP}embeddings\.token_embedding\.weight", r"token_embedding\.weight")
    return any(re.fullmatch("|".join(landmarks), key) for key in state)


def as_transformers(state: StateDict) -> StateDict:
    """The state dict in the transformers layout, whichever it has."""
    if "token_embedding.weight" not in state:
        return state
    found: dict[str, Any] = {}
    for key, tensor in state.items():
        if packed := _PACKED.fullmatch(key):
            for i, name in enumerate("qkv"):
                found[f"encoder.layers.{packed[1]}.self_attn.{name}_proj.{packed[2]}"] = _third(tensor, i)
        else:
            renamed = next(
                (match.expand(new) for old, new in _OPENAI if (match := re.fullmatch(old, key))), key
            )
            found[renamed] = _transposed(tensor) if key == "text_projection" else tensor
    return found


_PACKED = re.compile(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)")
_RESBLOCK = r"transformer\.resblocks\.(\d+)"
_BLOCK = re.compile(r"(?:text_model\.)?encoder\.layers\.(\d+)\..+")
_OPENAI = (
    (r"token_embedding\.weight", "embeddings.token_embedding.weight"),
    (r"positional_embedding", "embeddings.position_embedding.weight"),
    (r"ln_final\.(\w+)", r"final_layer_norm.\1"),
    (r"text_projection", "text_projection.weight"),
    (rf"{_RESBLOCK}\.attn\.out_proj\.(\w+)", r"encoder.layers.\1.self_attn.out_proj.\2"),
    (rf"{_RESBLOCK}\.ln_([12])\.(\w+)", r"encoder.layers.\1.layer_norm\2.\3"),
    (rf"{_RESBLOCK}\.mlp\.c_fc\.(\w+)", r"encoder.layers.\1.mlp.fc1.\2"),
    (rf"{_RESBLOCK}\.mlp\.c_proj\.(\w+)", r"encoder.layers.\1.mlp.fc2.\2"),
    (r"visual\.(.+)", r"vision_model.\1"),
)


def _third(tensor: Any, index: int) -> Any:
    """One of the three equal parts of the first axis."""
    size = tensor.shape[0] // 3
    return _changed(tensor, (size, *tensor.shape[1:]), lambda x: x[index * size : (index + 1) * size])


def _transposed(tensor: Any) -> Any:
    return _changed(tensor, tensor.shape[::-1], np.transpose)


def _changed(tensor: Any, new: tuple[int, ...], change: Any) -> Any:
    """A tensor that is changed when it is read; of a shape, the new one."""
    if isinstance(tensor, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(new, tensor.dtype)
    return StoredArray(
        new, tensor.dtype, functools.partial(lambda tensor: change(np.asarray(tensor)), tensor)
    )


def infer_config(
    state: StateDict,
    settings: Mapping[str, Any] | None,
    vocabulary: Vocabulary,
    *,
    context_shape: tuple[int, int],
    pad_piece: str = END,
) -> CLIPTextConfig:
    """The shape of a text encoder, and what the generator is told of it.

    Args:
      state: its tensors or their shapes, in the transformers layout.
      settings: its config.json, or that of all of CLIP; None if there is none.
      vocabulary: what its ids stand for.
      context_shape: (T, D) of the captions that the generator reads: one token is the projected feature, more
        are the hidden states.
      pad_piece: the piece behind the end of a caption.

    Raises:
      InputError: if a tensor that tells the shape is missing, the settings say something that our encoder
        does not know, or there are none and no released encoder has these shapes.
    """
    top = "text_model." if any(key.startswith("text_model.") for key in state) else ""
    vocab_size, width = shape(state, f"{top}embeddings.token_embedding.weight", 2)
    if pad_piece not in vocabulary.ids:
        raise InputError(f"The vocabulary has no id for {pad_piece!r}, behind the end of a caption.")
    config = CLIPTextConfig(
        vocab_size=vocab_size,
        length=shape(state, f"{top}embeddings.position_embedding.weight", 2)[0],
        width=width,
        depth=count(state, f"{top}encoder.layers"),
        num_heads=1,
        mlp_width=shape(state, f"{top}encoder.layers.0.mlp.fc1.weight", 2)[0],
        feature_dim=shape(state, "text_projection.weight", 2)[0] if context_shape[0] == 1 else None,
        end_token=vocabulary.ids[END],
        pad_token=vocabulary.ids[pad_piece],
    )
    config = _without_last(config)
    if settings is None:
        return _as_released(config)
    said = settings.get("text_config", settings)
    if not isinstance(said, Mapping):
        raise InputError(f"The text encoder's config.json has text_config={said!r}, which is no object.")
    if (eps := said.get("layer_norm_eps", 1e-5)) != 1e-5:
        raise InputError(f"The text encoder's config.json has layer_norm_eps={eps}; only 1e-05 is known.")
    config = dataclasses.replace(
        config,
        num_heads=said.get("num_attention_heads", 8),  # what transformers takes where nothing is said
        activation=str(said.get("hidden_act", "quick_gelu")),
    )
    if config.feature_dim is not None:
        return dataclasses.replace(config, activation=FEATURE_ACTIVATION)
    return config


def read_blocks(state: StateDict, config: CLIPTextConfig) -> StateDict:
    """The tensors in the transformers layout without the blocks behind the last that a generator reads."""
    return {
        key: tensor
        for key, tensor in state.items()
        if (block := _BLOCK.fullmatch(key)) is None or int(block[1]) < config.depth
    }


def _without_last(config: CLIPTextConfig) -> CLIPTextConfig:
    """The shape without the last block, with Stable Diffusion's token, if it is that of all of ViT-H/14."""
    read = VARIANTS["clip_h_hidden"].config
    facts = {name: getattr(config, name) for name in ("num_heads", "activation", "pad_token")}
    if config != dataclasses.replace(read, depth=read.depth + 1, **facts):
        return config
    return dataclasses.replace(config, depth=read.depth, pad_token=read.pad_token)


def _as_released(config: CLIPTextConfig) -> CLIPTextConfig:
    for variant in VARIANTS.values():
        known = dataclasses.replace(variant.config, pad_token=config.pad_token)
        facts = {name: getattr(config, name) for name in ("num_heads", "activation")}
        if config == dataclasses.replace(known, **facts):
            return known
    raise InputError(
        "The shapes of a text encoder do not tell its attention heads and activation function, and they are "
        "those of no released one; its config.json must lie beside it."
    )
