"""Files that are there as a whole or not at all, on a disk or in a bucket.

On a disk a file is written beside its place, synced, and renamed. In a bucket an object appears when all of
it has arrived, and whether there was none before is a condition that the service checks.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from jaxaudit.paths import Place, in_bucket

_ABANDONED = 3600.0  # seconds after which nobody writes to a partial file any more


def write_atomically(path: Place, content: bytes | memoryview | Any) -> None:
    """Writes `content` to `path` so that a reader sees the old file or the new one, never a part of it."""
    if in_bucket(path):
        path.fs.pipe_file(path.path, bytes(content))
    else:
        os.replace(_written_beside(path, content), path)


def write_once(path: Place, content: bytes | memoryview | Any) -> bool:
    """Writes `content` to `path` unless something is there; whether this call has done so.

    Of several processes that try at once, on one host or on many, exactly one succeeds. Its file appears as a
    whole; on a file system without hard links it may be seen empty for a moment before.
    """
    if in_bucket(path):
        try:
            path.fs.pipe_file(path.path, bytes(content), mode="create")
        except FileExistsError:
            return False
        except OSError:
            if path.exists():  # S3 has another answer where several write at once
                return False
            raise
        return True
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


def remove_partials(directory: Place) -> None:
    """Removes what killed processes left half-written in a folder; what is younger may still be in use."""
    if in_bucket(directory):  # where nothing is half-written
        return
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
