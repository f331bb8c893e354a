"""Files that are there as a whole or not at all."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_atomically(path: Path, content: bytes | memoryview | Any) -> None:
    """Writes `content` to `path` so that a reader sees the old file or the new one, never a part of it."""
    os.replace(_written_beside(path, content), path)


def write_once(path: Path, content: bytes) -> bool:
    """Writes `content` to `path` unless something is there; whether this call has done so.

    Of several processes that try at once, on one host or on many, exactly one succeeds. Its file appears as a
    whole; on a file system without hard links it may be seen empty for a moment before.
    """
    partial = _written_beside(path, content)
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError:  # no hard links here
        try:
            with open(path, "xb") as file:
                file.write(content)
        except FileExistsError:
            return False
    finally:
        partial.unlink()
    return True


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz, whole or not at all; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getbuffer())


def _written_beside(path: Path, content: Any) -> Path:
    """A file of this content in the same folder, synced, whose name no other process writes to."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # a full disk, or Ctrl-C
        partial.unlink(missing_ok=True)
        raise
    return partial
