"""Checkpoint files as nested dicts of NumPy arrays, in the precision they are stored in.

PyTorch files (`.pth`, `.pt`, `.bin`, `.ckpt`) are read with `torch.load(weights_only=True)`, which runs no
code from the file, and memory-mapped where the format allows it; safetensors files and TorchScript archives
need no PyTorch. What a file is, is told from its content, not from its name.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from checkpoints_convert import torchscript
from jaxaudit.errors import InputError, reason

_READ = ("BOOL", "U8", "I8", "I16", "I32", "I64", "F16", "BF16", "F32", "F64")
"""Types of safetensors."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02"


def read(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint file: a dict, possibly nested, whose tensors are NumPy arrays.

    Arrays keep their stored dtype (bfloat16 as `ml_dtypes.bfloat16`) and may be memory-mapped: do not write
    to them. Values that are not tensors (step counters, options) stay as they are.

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
        return torchscript.read(path)
    if head.startswith((_ZIP, _PICKLE)):
        return _read_torch(path, mmap=head.startswith(_ZIP))
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`.")
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        raise InputError(f"{path} is a web page, not a checkpoint; the download went wrong.")
    raise InputError(f"{path} is neither a PyTorch checkpoint nor a safetensors file.")


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unwrap(content: Mapping[str, Any], nesting: str) -> dict[str, np.ndarray]:
    """The tensors {key: array} at `nesting` ("/" between levels, "" for the top); {} if there are none."""
    inner: Any = content
    for name in filter(None, nesting.split("/")):
        inner = inner.get(name) if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping):
        return {}
    return {key: value for key, value in inner.items() if isinstance(value, np.ndarray)}


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118 (no mapping)
                if (dtype := file.get_slice(key).get_dtype()) not in _READ:
                    raise _unread(path, key, dtype)
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a complete safetensors file: {reason(error)}.") from error


def _check_sums(path: Path) -> None:
    """Reads every record of a zip archive and compares its CRC-32; PyTorch's reader takes what is there."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # damaged archives raise nearly anything
        raise InputError(f"{path} is not a complete PyTorch checkpoint: {reason(error)}.") from error
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: the bytes of its record {damaged} are not those that were written (CRC-32). "
            "Download or copy it again."
        )


def _read_torch(path: Path, *, mmap: bool) -> dict[str, Any]:
    if mmap:
        _check_sums(path)
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f'Reading {path} needs PyTorch: pip install "jaxaudit[convert]", or use a safetensors file.'
        ) from error
    try:
        # Training checkpoints keep their options beside the weights; a Namespace is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, weights_only=True, map_location="cpu", mmap=mmap)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds pickled Python objects, not only tensors, and unpickling them could run any code. "
            "Save it again with torch.save(model.state_dict(), ...)."
        ) from error
    except Exception as error:  # damaged pickles raise nearly anything
        said = reason(error).partition(". ")[0]
        raise InputError(f"{path} is not a complete PyTorch checkpoint: {said}.") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}, not a dict of tensors.")
    try:
        return _to_numpy(content, path)
    except RecursionError as error:
        raise InputError(f"{path} holds dicts within dicts without end, not a dict of tensors.") from error


def _to_numpy(value: Any, path: Path, name: str = "") -> Any:
    import torch

    if isinstance(value, Mapping):
        return {str(key): _to_numpy(item, path, f"{name}/{key}") for key, item in value.items()}
    if not isinstance(value, torch.Tensor):
        return value
    if value.layout != torch.strided or value.is_quantized:
        raise InputError(f"The tensor {name[1:]} of {path} is sparse or quantised; save it as a dense one.")
    value = value.detach().resolve_conj().resolve_neg()
    if value.dtype == torch.bfloat16:
        return value.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    try:
        return value.numpy()
    except TypeError as error:  # NumPy has no such type
        raise _unread(path, name[1:], str(value.dtype).removeprefix("torch.")) from error


def _unread(path: Path, name: str, dtype: str) -> InputError:
    return InputError(
        f"The tensor {name} of {path} is {dtype}, which this converter does not read; save it with 16 or 32 "
        "bits."
    )
