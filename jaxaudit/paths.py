"""Where files are: on a disk of this machine, or in a bucket (gs://, s3://).

A bucket holds whole objects under names and nothing else: no folders to be made, no renaming. What is the
same for both, reading and joining names, is asked of the path; what differs stands here and in
`jaxaudit.files`.
"""

from __future__ import annotations

import os
from pathlib import Path

from typing_extensions import TypeIs
from upath import UPath

from jaxaudit.errors import InputError, reason

Place = Path | UPath
"""A path: of a disk (`pathlib`), or of a bucket."""

Location = str | os.PathLike[str] | UPath
"""What people and programs call a place: its name, or the place."""

_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}


def as_place(location: Location) -> Place:
    """The place of that name; a bucket's begins with its scheme, gs://BUCKET/NAME.

    Listings of buckets are never remembered: other processes write to them.

    Raises:
      InputError: if no file system has that scheme, or its package is not installed.
    """
    if isinstance(location, UPath):
        return location
    name = os.fspath(location)
    scheme, mark, _ = name.partition("://")
    if not mark:
        return Path(name)
    try:
        found = UPath(name, use_listings_cache=False)
        found.fs  # noqa: B018 - imports the package of the file system
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        missing = f"pip install 'jaxaudit[{extra}]'" if extra else reason(error)
        raise InputError(f"{name} needs a package that is not installed: {missing}.") from None
    except ValueError as error:
        raise InputError(f"{name} is no place for files ({reason(error)}); gs:// and s3:// are.") from None
    return found


def in_bucket(where: Place) -> TypeIs[UPath]:
    """Whether this is no path of a disk."""
    return not isinstance(where, Path)


def is_there(where: Place) -> bool:
    """Whether something of that name is there, be it a link that leads nowhere."""
    return where.exists() if in_bucket(where) else os.path.lexists(where)


def make_folder(folder: Place) -> Place:
    """The folder, which is there from now on; in a bucket there is nothing to do."""
    if not in_bucket(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def names_in(folder: Place) -> set[str]:
    """The names of what is in a folder, hidden files too; none if it is not there."""
    try:
        if in_bucket(folder):
            return {name.rstrip("/").rpartition("/")[2] for name in folder.fs.ls(folder.path, detail=False)}
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()
