"""Targets in buckets: read through a copy on this disk, whose files are checked like those of any target."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from upath import UPath

from jaxaudit.checkpoint.files import RECORD
from jaxaudit.checkpoint.record import read_sealed
from jaxaudit.errors import InputError

_THREADS = 16


@contextlib.contextmanager
def copied(directory: UPath) -> Iterator[Path]:
    """A copy of a target in a bucket, in the folder for temporary files, for as long as the body runs.

    Raises:
      InputError: if there is no target, its record is damaged or a file is missing; of what the body says of
        the copy, it says it of the target.
    """
    if not (directory / RECORD).exists():
        raise InputError(f"{directory} is no target: it has no {RECORD}.")
    names = [RECORD, *read_sealed(directory)["files"]]
    with tempfile.TemporaryDirectory(prefix="jaxaudit-") as temporary:
        copy = Path(temporary)

        def fetch(name: str) -> None:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                directory.fs.get_file((directory / name).path, str(copy / name))
            except FileNotFoundError:
                raise InputError(
                    f"{directory} is damaged: {name} is missing. Convert or copy it again."
                ) from None

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fetch, names))
        try:
            yield copy
        except InputError as error:
            raise InputError(str(error).replace(temporary, str(directory))) from error
