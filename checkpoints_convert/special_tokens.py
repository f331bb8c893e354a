"""What fills a caption up behind its end, as the files beside a vocabulary say.

    tokenizer_config.json     {"pad_token": PIECE, ...}
    special_tokens_map.json   {"pad_token": PIECE, ...}, which is right where the two differ

PIECE is a string, or {"content": string, ...}. Stable Diffusion 2.x fills up with "!" by the second file
alone. transformers reads it unless the first file lists `added_tokens_decoder`, and so it is here.
Source: https://github.com/huggingface/transformers, tokenization_utils_base.py, `_from_pretrained` of
4.57 and 5.24.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxaudit.data.byte_pairs import END
from jaxaudit.errors import InputError, reason

_CONFIG, _MAP = "tokenizer_config.json", "special_tokens_map.json"


def pad_piece(folder: Path) -> str:
    """The piece behind the end of a caption; END where the files of that folder do not say it.

    Raises:
      InputError: if a file is damaged, or says something that is no piece.
    """
    config = read_object(folder / _CONFIG) or {}
    special = {} if "added_tokens_decoder" in config else read_object(folder / _MAP) or {}
    name = _MAP if special.get("pad_token") else _CONFIG
    told = (special.get("pad_token") or config.get("pad_token")) or END
    piece = told.get("content") if isinstance(told, Mapping) else told
    if not isinstance(piece, str):
        raise InputError(f"{folder / name} has pad_token={told!r}, which is no piece of text.")
    return piece


def read_object(path: Path) -> dict[str, Any] | None:
    """What a JSON file says, None if it is not there.

    Raises:
      InputError: if it cannot be read, or holds no object.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {reason(error)}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object.")
    return found
