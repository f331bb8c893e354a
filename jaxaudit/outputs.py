"""Is there a place for the results? Asked before any work, by doing in small what will be done in the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from jaxaudit.errors import InputError

_LONGEST = ".members-00000-of-00000.parquet.0123456789ab.partial"
"""As long a name as files of results get, while they are written."""


def check_folder(out: str | os.PathLike[str]) -> Path:
    """The folder `out`, once it is certain that files can be written to it; it is made later.

    Raises:
      InputError: if it, or a folder above it, is a file, cannot be written to or has too long a name, or its
        disk is full.
    """
    _try(out, Path(out), _LONGEST)
    return Path(out)


def check_new_folder(out: str | os.PathLike[str]) -> Path:
    """As `check_folder`, of one that is written beside it under a longer name, and renamed when whole."""
    folder = Path(out)
    _try(out, folder.with_name(f".{folder.name}.unfinished-01234567"), _LONGEST)
    return folder


def check_file(out: str | os.PathLike[str]) -> Path:
    """The file `out`, once it is certain that it can be written or replaced, with the folders above it.

    Raises:
      InputError: if there is something else of that name, or as `check_folder`.
    """
    file = Path(out)
    if os.path.lexists(file) and not os.path.isfile(file):
        raise InputError(f"{out} is there and no file, so no results can be written to it.")
    _try(out, file.parent, f".{file.name}.0123456789ab.partial")
    return file


def _try(out: str | os.PathLike[str], folder: Path, name: str) -> None:
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
