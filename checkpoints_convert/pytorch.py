"""Files of `torch.save`, without reading a value before it is asked for.

`torch.load(weights_only=True)` runs no code from a file. For the device "meta" it reads none of its values
either, but says where they are.
"""

from __future__ import annotations

import argparse
import functools
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import ml_dtypes
import numpy as np

from checkpoints_convert.stored import StoredArray, mapped
from jaxaudit.errors import InputError, reason

if TYPE_CHECKING:
    import torch

_DTYPES = {
    name: np.dtype(name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
} | {"bfloat16": np.dtype(ml_dtypes.bfloat16)}


def read(path: Path, *, archive: bool) -> dict[str, Any]:
    """The content of a file of `torch.save`: a dict, possibly nested, whose tensors are `StoredArray`s.

    Args:
      path: the file.
      archive: whether it is a zip archive. Files of before PyTorch 1.6 are none; these are read whole.

    Raises:
      InputError: if the file is truncated or damaged, was written on a big-endian machine, or holds pickled
        objects other than tensors; or if PyTorch is missing or too old.
    """
    records = _records(path) if archive else {}
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f'Reading {path} needs PyTorch: pip install "jaxaudit[convert]", or use a safetensors file.'
        ) from error
    try:
        # Training checkpoints keep their options beside the weights; a Namespace is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, weights_only=True, map_location="meta" if archive else "cpu")
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds pickled Python objects, not only tensors, and unpickling them could run any code. "
            "Save it again with torch.save(model.state_dict(), ...)."
        ) from error
    except NotImplementedError as error:
        raise InputError(f"{path} holds quantised tensors; save it with dense ones.") from error
    except Exception as error:  # damaged pickles raise nearly anything
        said = reason(error).partition(". ")[0]
        raise InputError(f"{path} is not a complete PyTorch checkpoint: {said}.") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}, not a dict of tensors.")
    try:
        return _stored(content, path, records)
    except RecursionError as error:
        raise InputError(f"{path} holds dicts within dicts without end, not a dict of tensors.") from error


def unread(path: Path, name: str, dtype: str) -> InputError:
    """The error for a tensor of a type that is not read."""
    return InputError(
        f"The tensor {name} of {path} is {dtype}, which this converter does not read; save it with 16 or 32 "
        "bits."
    )


def _records(path: Path) -> dict[int, int]:
    """Where each record of the archive begins, and its size, in bytes.

    Every record is read and its CRC-32 compared; PyTorch's reader takes what is there.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            damaged = archive.testzip()
            entries = archive.infolist()
            starts = [_start(file, entry) for entry in entries]
            orders = [archive.read(name) for name in archive.namelist() if name.endswith("/byteorder")]
    except Exception as error:  # damaged archives raise nearly anything
        raise InputError(f"{path} is not a complete PyTorch checkpoint: {reason(error)}.") from error
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: the bytes of its record {damaged} are not those that were written (CRC-32). "
            "Download or copy it again."
        )
    if b"big" in orders:
        raise InputError(f"{path} was written on a big-endian machine; save it again on another.")
    return {
        start: entry.file_size
        for start, entry in zip(starts, entries, strict=True)
        if entry.compress_type == zipfile.ZIP_STORED
    }


def _start(file: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an entry begin: after a header of 30 bytes, its name and its extra field."""
    file.seek(entry.header_offset + 26)
    return entry.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))


def _stored(value: Any, path: Path, records: Mapping[int, int], name: str = "") -> Any:
    """The same content with `StoredArray`s for tensors."""
    import torch

    if isinstance(value, Mapping):
        return {str(key): _stored(item, path, records, f"{name}/{key}") for key, item in value.items()}
    if not isinstance(value, torch.Tensor):
        return value
    if value.layout != torch.strided or value.is_quantized:
        raise InputError(f"The tensor {name[1:]} of {path} is sparse or quantised; save it as a dense one.")
    kind = str(value.dtype).removeprefix("torch.")
    if kind not in _DTYPES or value.is_neg():
        raise unread(path, name[1:], kind)
    tensor, dtype = value.detach(), _DTYPES[kind]
    in_archive = tensor.is_meta
    read = _in_archive(tensor, dtype, path, records) if in_archive else functools.partial(_in_memory, tensor)
    return StoredArray(tuple(tensor.shape), dtype, read)


def _in_archive(
    tensor: torch.Tensor, dtype: np.dtype[Any], path: Path, records: Mapping[int, int]
) -> Callable[[], np.ndarray]:
    """How the values of a tensor are read that `torch.load` has left in the archive."""
    storage, first = tensor.untyped_storage(), tensor.storage_offset()
    start = getattr(storage, "_checkpoint_offset", None)
    if start is None:
        raise InputError(
            f'Reading {path} needs PyTorch 2.10 or newer: pip install --upgrade "jaxaudit[convert]".'
        )
    last = first + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    # PyTorch computes where a record begins from those before, which is wrong in archives others have packed.
    if tensor.numel() and not (last + 1) * dtype.itemsize <= storage.nbytes() == records.get(start):
        raise InputError(f"{path} was not packed by PyTorch; load it with torch.load and save it again.")
    return functools.partial(
        mapped,
        path,
        offset=start + first * dtype.itemsize,
        dtype=dtype,
        shape=tuple(tensor.shape),
        strides=tensor.stride(),
    )


def _in_memory(tensor: torch.Tensor) -> np.ndarray:
    """The values of a tensor that `torch.load` has read."""
    import torch

    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
