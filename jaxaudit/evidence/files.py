"""Files that are there as a whole or not at all."""

from __future__ import annotations

import io
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxaudit.errors import InputError
from jaxaudit.seals import SEAL, arrays_sha256

_ABANDONED = 3600.0  # seconds after which nobody writes to a partial file any more


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
    """Writes an .npz with a seal, whole or not at all; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    sealed: dict[str, Any] = {**plain, SEAL: np.array(arrays_sha256(plain))}
    np.savez(buffer, **sealed)
    write_atomically(path, buffer.getbuffer())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote.

    Raises:
      InputError: if there is no such file, it is damaged, was changed since, or is from before there were
        seals.
    """
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            arrays = dict(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (EOFError, ValueError, KeyError, TypeError, MemoryError, *_BROKEN_ARCHIVES) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    if SEAL not in arrays:
        raise InputError(f"{path} has no seal, so it is of an earlier format; make it again.")
    if str(arrays.pop(SEAL)) != arrays_sha256(arrays):
        raise InputError(f"{path} is damaged: its arrays are not those that were written.")
    return arrays


_BROKEN_ARCHIVES = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, SyntaxError)


def remove_partials(directory: Path) -> None:
    """Removes what killed processes left half-written in a folder; what is younger may still be in use."""
    for partial in directory.glob(".*.partial"):
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()
        except OSError:  # another process was faster
            continue


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
