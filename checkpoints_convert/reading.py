"""Checkpoint files as nested dicts of arrays, in the precision they are stored in.

PyTorch files (`.pth`, `.pt`, `.bin`, `.ckpt`) need PyTorch, safetensors files and TorchScript archives do
not. What a file is, is told from its content, not from its name. Values stay in it until they are asked for,
so that a checkpoint need not fit into memory.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from checkpoints_convert import pytorch, torchscript
from checkpoints_convert.stored import StoredArray
from jaxaudit.errors import InputError, reason

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}
"""Types of safetensors."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02"


def read(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint file: a dict, possibly nested, whose tensors are `StoredArray`s.

    They keep their stored dtype (bfloat16 as `ml_dtypes.bfloat16`). Files of before PyTorch 1.6 and
    TorchScript archives are read whole. What is no tensor (step counters, options) stays as it is.

    Raises:
      InputError: if the file does not exist, is truncated, is not a checkpoint, or holds pickled objects
        other than tensors; or if it needs PyTorch and that is not installed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    if head[8:9] == b"{" and not head.startswith(_PICKLE):
        return _read_safetensors(path)
    if head.startswith(_ZIP) and torchscript.is_archive(path):
        return {key: _in_memory(array) for key, array in torchscript.read(path).items()}
    if head.startswith((_ZIP, _PICKLE)):
        return pytorch.read(path, archive=head.startswith(_ZIP))
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`.")
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        raise InputError(f"{path} is a web page, not a checkpoint; the download went wrong.")
    raise InputError(f"{path} is neither a PyTorch checkpoint nor a safetensors file.")


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unwrap(content: Mapping[str, Any], nesting: str) -> dict[str, StoredArray]:
    """The tensors {key: array} at `nesting` ("/" between levels, "" for the top); {} if there are none.

    A last level that ends with a dot stands for the keys that begin with it, which lose it.
    """
    *levels, last = ["", *nesting.split("/")]
    prefix = last if last.endswith(".") else ""
    inner: Any = content
    for name in filter(None, levels if prefix else (*levels, last)):
        inner = inner.get(name) if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping):
        return {}
    return {
        key.removeprefix(prefix): value
        for key, value in inner.items()
        if isinstance(value, StoredArray) and key.startswith(prefix)
    }


def _in_memory(array: np.ndarray) -> StoredArray:
    return StoredArray(array.shape, array.dtype, lambda: array)


def _read_safetensors(path: Path) -> dict[str, StoredArray]:
    content = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118 (no mapping)
                tensor = file.get_slice(key)
                if (kind := tensor.get_dtype()) not in _DTYPES:
                    raise pytorch.unread(path, key, kind)
                read = functools.partial(_safetensor, path, key)
                content[key] = StoredArray(tuple(tensor.get_shape()), _DTYPES[kind], read)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a complete safetensors file: {reason(error)}.") from error
    return content


def _safetensor(path: Path, key: str) -> np.ndarray:
    with safetensors.safe_open(path, framework="numpy") as file:
        return file.get_tensor(key)
