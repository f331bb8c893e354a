"""A text encoder for a converted model of captions, which then embeds text itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax.numpy as jnp
from jax.typing import DTypeLike

from checkpoints_convert.clip_text import (
    as_transformers,
    infer_config,
    is_text_encoder,
    read_blocks,
    table,
)
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import Converted
from checkpoints_convert.reading import read, sha256, unwrap
from checkpoints_convert.special_tokens import pad_piece, read_object
from jaxaudit.checkpoint.parameters import cast
from jaxaudit.configs import to_dict
from jaxaudit.data.byte_pairs import read_vocabulary
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.captions import TEXT_ENCODER, check_vocabulary

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def add_text_encoder(
    converted: Converted,
    path: str | Path,
    *,
    vocabulary: str | Path | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Converted:
    """The converted model together with its text encoder.

    Args:
      converted: a model of captions.
      path: CLIP's text encoder or all of CLIP: a file, with config.json beside it, or the folder of both.
      vocabulary: the folder of vocab.json and merges.txt, and of tokenizer_config.json and
        special_tokens_map.json, which may say what fills captions up; default that of the text encoder.
      dtype: of its floating parameters.

    Raises:
      InputError: if the model reads no captions, a file cannot be read or is something else, or the text
        encoder makes other embeddings than the model reads.
    """
    home, path = get_family(converted.family), Path(path)
    file = _weights(path) if path.is_dir() else path
    folder = Path(vocabulary) if vocabulary is not None else file.parent
    shapes = home.abstract_params(converted.config)
    target = home.build_target("converted", converted.config, shapes, converted.preprocessing, {})
    if target.context_shape is None:
        raise InputError(f"The {converted.family} model reads no captions; it has no use for a text encoder.")
    state = as_transformers(unwrap(read(file), ""))
    if not is_text_encoder(state):
        raise InputError(f"{file} is no CLIP text encoder: it holds no table of tokens.")
    words = read_vocabulary(folder)
    found = infer_config(
        state,
        read_object(file.parent / "config.json"),
        words,
        context_shape=target.context_shape,
        pad_piece=pad_piece(folder),
    )
    config = {**converted.config, TEXT_ENCODER: to_dict(found)}
    check_vocabulary(config, words)
    abstract = cast(home.abstract_params(config)[TEXT_ENCODER], jnp.dtype(dtype))
    params = convert(
        read_blocks(state, found),
        table(feature=found.feature_dim is not None),
        abstract,
        source=f"{file}, read as a CLIP text encoder,",
    )
    source = {"file": file.name, "url": None, "sha256": sha256(file), "nesting": ""}
    provenance = dict(converted.provenance)
    provenance["sources"] = {**provenance["sources"], TEXT_ENCODER: source}
    return dataclasses.replace(
        converted,
        config=config,
        params={**converted.params, TEXT_ENCODER: params},
        provenance=provenance,
        vocabulary=folder,
    )


def _weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds no text encoder: neither {' nor '.join(_WEIGHTS)}.")
