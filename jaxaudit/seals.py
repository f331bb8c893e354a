"""Seals: a sha256 beside what is kept on disk, so that what is read is what was written.

They find what disks, copies and editors do to files; they are no signature, for whoever can write a file can
seal it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

SEAL = "sha256"
"""The name under which a record keeps its seal."""

_THREADS = 16


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as JSON gives it back, with the seal of all its other fields."""
    plain = json.loads(json.dumps({name: value for name, value in record.items() if name != SEAL}))
    return {**plain, SEAL: json_sha256(plain)}


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record that was read is the one that was sealed."""
    return record.get(SEAL) == json_sha256({name: value for name, value in record.items() if name != SEAL})


def json_sha256(value: Any) -> str:
    """sha256 (hex) of a value of JSON, whatever the order of names and the white space of its text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def arrays_sha256(arrays: Mapping[str, np.ndarray], *, of: str = "") -> str:
    """sha256 (hex) of names, dtypes, shapes and values, whatever the order of the names.

    Args:
      arrays: of numbers or of text.
      of: what the arrays belong to; of something else they have another seal.
    """
    digest = hashlib.sha256(of.encode())
    for name, array in sorted(arrays.items()):
        text = array.dtype.kind == "U"
        kind = "text" if text else array.dtype.str
        digest.update(json.dumps([name, kind, array.shape]).encode())
        if text:
            digest.update(json.dumps(array.tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def files_sha256(paths: Iterable[Path]) -> list[str]:
    """sha256 (hex) of each file, in their order.

    Files are hashed side by side; one core reads about 1 GB/s.

    Raises:
      OSError: if one cannot be read.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_file_sha256, paths))


def _file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
