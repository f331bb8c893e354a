"""Files that are there as a whole or not at all."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def write_atomically(path: pathlib.Path, content: bytes | memoryview | Any) -> None:
    """Writes `content` to `path` so that a reader sees the old file or the new one, never a part of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_arrays(path: pathlib.Path, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz, whole or not at all; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getbuffer())
