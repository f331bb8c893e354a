"""`CLIPTextModel`: its config; the names of its tensors are in `checkpoints_convert.clip_text`.

What ends a caption, and what stands behind its end, is told by the pipeline's tokenizer: configs of before
give CLIP's encoder the ids of another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoints_convert import clip_text
from checkpoints_convert.diffusers.folder import Folder
from checkpoints_convert.diffusers.networks import Network
from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import Table
from checkpoints_convert.records import StateDict
from checkpoints_convert.special_tokens import pad_piece
from jaxaudit.configs import to_dict
from jaxaudit.data.byte_pairs import END, read_vocabulary
from jaxaudit.errors import InputError
from jaxaudit.models.clip_text import CLIPTextConfig

_TOP = "text_model."


def config(settings: Settings, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The config of `jaxaudit.models.clip_text.CLIPText`, with the `tokens` in parts["vocabulary"]."""
    said = settings.take(
        {
            "vocab_size": 49408,
            "max_position_embeddings": 77,
            "hidden_size": 512,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "intermediate_size": 2048,
            "hidden_act": "quick_gelu",
        },
        only={"layer_norm_eps": 1e-5},
        whatever={
            "architectures",
            "attention_dropout",
            "bos_token_id",
            "dropout",
            "dtype",
            "eos_token_id",
            "initializer_factor",
            "initializer_range",
            "model_type",
            "pad_token_id",
            "projection_dim",
            "torch_dtype",
            "transformers_version",
        },
    )
    return to_dict(
        CLIPTextConfig(
            vocab_size=said["vocab_size"],
            length=said["max_position_embeddings"],
            width=said["hidden_size"],
            depth=said["num_hidden_layers"],
            num_heads=said["num_attention_heads"],
            mlp_width=said["intermediate_size"],
            activation=said["hidden_act"],
            **parts["vocabulary"],
        )
    )


def tokens(folder: Folder) -> dict[str, int]:
    """The ids of what ends a caption and of what stands behind its end, from the tokenizer's files.

    Raises:
      InputError: if a file is missing or damaged, or there is no such id.
    """
    ids = read_vocabulary(folder.path / "tokenizer").ids
    folder.settings("tokenizer")  # without this file, nothing says what stands there
    piece = pad_piece(folder.path / "tokenizer")
    if piece not in ids:
        raise InputError(
            f"{folder.path / 'tokenizer'} has pad_token={piece!r}, a piece that vocab.json has no id for."
        )
    return {"end_token": ids[END], "pad_token": ids[piece]}


def named(state: StateDict) -> StateDict:
    """The tensors under the names of before transformers 5, which LoRA files use."""
    if any(key.startswith(_TOP) for key in state):
        return state
    return {_TOP + key: tensor for key, tensor in state.items()}


def table(_: Mapping[str, Any]) -> Table:
    """The rows."""
    return clip_text.table(feature=False)


NETWORK = Network(title="text encoder of CLIP", config=config, table=table, named=named)
