"""Hashes by which anybody can tell a picture again: of its file, its pixels, and what the model was shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from jaxaudit.data.images import pixel_digest
from jaxaudit.data.preprocessing import Preprocessing, resize_crop
from jaxaudit.data.source import NUM_READERS, Source
from jaxaudit.errors import InputError


class Hashes(NamedTuple):
    """sha256 (hex) of one picture.

    Attributes:
      file: of the bytes of its file; None where it has none of its own (rows of an archive).
      pixels: `jaxaudit.data.pixel_digest` of the decoded picture.
      shown: the same of what the model was shown, resized and cropped to its size.
    """

    file: str | None
    pixels: str
    shown: str


def hashes(source: Source, rows: Sequence[int], preprocessing: Preprocessing) -> Iterator[Hashes]:
    """The hashes of these pictures, in order; they are read by threads.

    Raises:
      UnusableImageError, InputError: for a picture or a file that cannot be read.
    """

    def of(row: int) -> Hashes:
        image = source.load(row).image
        file = None if source.file is None else file_sha256(source.file(row))
        return Hashes(file, pixel_digest(image), pixel_digest(resize_crop(image, preprocessing)))

    with ThreadPoolExecutor(NUM_READERS) as pool:
        yield from pool.map(of, rows)


def file_sha256(path: str) -> str:
    """sha256 (hex) of the bytes of a file, as `sha256sum` has it.

    Raises:
      InputError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
