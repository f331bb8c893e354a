"""The files of a target: hashed, compared with their record, synced, and cleared away."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from jaxaudit.errors import InputError
from jaxaudit.seals import files_sha256

RECORD, PARAMS, VOCABULARY = "target.json", "params", "vocabulary"
"""The names of the record and, with a mark of their own, of the parameters and of a text encoder's files."""


def described(directory: Path, *folders: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file of these folders of a target, by its place in it."""
    paths = [path for folder in folders for path in _files(folder)]
    return {
        str(path.relative_to(directory)): {"bytes": path.stat().st_size, "sha256": found}
        for path, found in zip(paths, files_sha256(paths), strict=True)
    }


def check_files(directory: Path, files: Mapping[str, Mapping[str, Any]], *, verify: bool) -> None:
    """Refuses a checkpoint whose files are not those that were written.

    Raises:
      InputError: if a file is missing, has another size or (`verify`) another sha256, or cannot be read.
    """
    damaged = functools.partial("{} is damaged: {} {}. Convert or copy it again.".format, directory)
    for name, file in files.items():
        found = (directory / name).stat().st_size if (directory / name).is_file() else None
        if found != file["bytes"]:
            state = "is missing" if found is None else f"has {found} bytes instead of {file['bytes']}"
            raise InputError(damaged(name, state))
    if not verify:
        return
    try:
        hashes = files_sha256(directory / name for name in files)
    except OSError as error:
        raise InputError(f"{directory} cannot be read: {error.strerror or error}.") from error
    for (name, file), found in zip(files.items(), hashes, strict=True):
        if found != file["sha256"]:
            raise InputError(damaged(name, "is not what was written"))


def sync_folder(folder: Path) -> None:
    """Syncs every file of a folder, then the directories that name them, itself included."""
    directories = (path for path in sorted(folder.rglob("*")) if path.is_dir())
    for path in (*_files(folder), folder, *directories):
        sync(path)


def sync(path: Path) -> None:
    """Returns once what was written to a file or directory is on its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leftovers(directory: Path) -> list[Path]:
    """What saves write to a directory beside its record; some of it may be in use."""
    mark = "[0-9a-f]" * 8
    patterns = (
        f"{PARAMS}-{mark}",
        f"{PARAMS}-{mark}.orbax-*",
        f"{VOCABULARY}-{mark}",
        f".{RECORD}.{mark}.partial",
    )
    return [path for pattern in patterns for path in directory.glob(pattern)]


def remove_leftovers(directory: Path, kept: Set[str], *, replaced: bool) -> None:
    """Removes what saves have left, but for what is kept; `params` too where its target was replaced."""
    for path in [*leftovers(directory), *([directory / PARAMS] if replaced else [])]:
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
