"""Is there a place for the results? Asked before any work, by doing in small what will be done in the end."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from upath import UPath

from jaxaudit.errors import InputError, reason
from jaxaudit.files import write_atomically
from jaxaudit.paths import Location, Place, as_place, in_bucket, is_there

_LONGEST = ".members-00000-of-00000.parquet.0123456789ab.partial"
"""As long a name as files of results get, while they are written."""


def check_folder(out: Location) -> Place:
    """The folder `out`, once it is certain that files can be written to it; it is made later.

    Raises:
      InputError: if it, or a folder above it, is a file, cannot be written to or has too long a name, or its
        disk is full.
    """
    folder = as_place(out)
    _try(out, folder, _LONGEST)
    return folder


def check_new_folder(out: str | os.PathLike[str]) -> Path:
    """As `check_folder`, of one that is written beside it under a longer name, and renamed when whole.

    Raises:
      InputError: if it is in a bucket, where nothing can be renamed, the folder one is in, or as
        `check_folder`.
    """
    folder = as_place(out)
    if in_bucket(folder):
        raise InputError(f"{out} is in a bucket; write to a folder here, and copy it there when it is whole.")
    if not folder.name:
        raise InputError(f"{os.fspath(out)!r} is a folder that is there already; name a new one in it.")
    _try(out, folder.with_name(f".{folder.name}.unfinished-01234567"), _LONGEST)
    return folder


def check_file(out: Location) -> Place:
    """The file `out`, once it is certain that it can be written or replaced, with the folders above it.

    Raises:
      InputError: if there is something else of that name, or as `check_folder`.
    """
    file = as_place(out)
    if is_there(file) and not file.is_file():
        raise InputError(f"{out} is there and no file, so no results can be written to it.")
    _try(out, file.parent, f".{file.name}.0123456789ab.partial")
    return file


def _try(out: Location, folder: Place, name: str) -> None:
    if in_bucket(folder):
        _try_bucket(out, folder, f"{name}.{uuid.uuid4().hex}")
    else:
        _try_disk(out, folder, name)


def _try_bucket(out: Location, folder: UPath, name: str) -> None:
    """Writes an object of that name, and removes it."""
    try:
        write_atomically(folder / name, bytes(4096))
        (folder / name).unlink()
    except Exception as error:  # no common type covers what services refuse, or who cannot be reached
        raise InputError(f"Nothing can be written to {out}: {reason(error)}.") from error


def _try_disk(out: Location, folder: Path, name: str) -> None:
    """Writes a file of that name to a folder like this one, in the nearest that is there; removes both."""
    there, missing = folder, []
    while not os.path.lexists(there):
        missing.append(there.name)
        there = there.parent
    if not os.path.isdir(there):
        raise InputError(f"{there} is no folder, so nothing can be written to {out}.")
    try:
        place = tempfile.mkdtemp(prefix=".", dir=there)
        try:
            inside = Path(place, *reversed(missing))
            inside.mkdir(parents=True, exist_ok=True)
            (inside / name).write_bytes(bytes(4096))
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        raise InputError(f"Nothing can be written to {out}: {error.strerror}.") from error
