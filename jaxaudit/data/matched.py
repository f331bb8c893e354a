"""Pictures that were chosen of other sources, as two sides that were matched: a listing, and no copies.

    DIR/matched.json    {"format", "answer", "sources": {"p", "u"}, "pictures": {"p", "u"}, "sha256"}

`pictures` of a side are [id, digest of the pixels], pair by pair: the k-th of "p" was matched with the k-th
of "u". A listing that was edited is refused, and so is a picture whose pixels are others by now.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from jaxaudit.data.images import pixel_digest
from jaxaudit.data.source import Picture, Source
from jaxaudit.errors import InputError, reason
from jaxaudit.files import write_atomically
from jaxaudit.paths import Location, Place, as_place, make_folder
from jaxaudit.seals import is_sealed, seal

SIDES = ("p", "u")
_FILE = "matched.json"


class _Listing(msgspec.Struct, frozen=True):
    format: Literal[1]
    answer: str
    sources: dict[str, str]
    pictures: dict[str, list[tuple[str, str]]]


def write_matched(
    directory: Location,
    sources: tuple[str, str],
    pictures: tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]],
    *,
    answer: str,
) -> Place:
    """Writes DIR/matched.json, and returns it.

    Args:
      directory: created if missing.
      sources: the texts that name those of P and of U.
      pictures: (id, digest) of those of either, in the order of the pairs.
      answer: whether the two are alike (`jaxaudit.results.Likeness`).
    """
    record = {
        "format": 1,
        "answer": answer,
        "sources": dict(zip(SIDES, sources, strict=True)),
        "pictures": dict(zip(SIDES, pictures, strict=True)),
    }
    path = make_folder(as_place(directory)) / _FILE
    write_atomically(path, json.dumps(seal(record), indent=0).encode())
    return path


def open_matched(location: str, opened: Callable[[str], Source]) -> Source:
    """`matched:DIR#p` or `matched:DIR#u`; ids, classes and captions are those of the source they are of.

    Args:
      location: what follows the scheme.
      opened: opens the source of a text.

    Raises:
      InputError: if no side is named, the listing is missing, damaged or was edited, or a picture is gone.
    """
    directory, mark, side = location.rpartition("#")
    if not mark or side not in SIDES:
        raise InputError(
            f"matched:{location} names no side; write matched:{directory or location}#p for the pictures of "
            "P, and #u for those of U."
        )
    path = as_place(directory) / _FILE
    listing = _read(path)
    source, pictures = opened(listing.sources[side]), listing.pictures[side]
    place = {sample_id: row for row, sample_id in enumerate(source.ids)}
    if missing := [sample_id for sample_id, _ in pictures if sample_id not in place]:
        raise InputError(
            f"{len(missing)} of {len(pictures)} pictures that {path} lists are no longer in {source.spec}, "
            f"e.g. {missing[0]!r}; match the sets again."
        )
    chosen = source.take([place[sample_id] for sample_id, _ in pictures])

    def read(index: int) -> Picture:
        sample_id, digest = pictures[index]
        picture = chosen.read(index)
        if pixel_digest(picture.pixels) != digest:
            raise InputError(
                f"{sample_id!r} of {source.spec} has changed since it was matched; match the sets again."
            )
        return picture

    return dataclasses.replace(chosen, read=read)


def _read(path: Place) -> _Listing:
    try:
        found = json.loads(path.read_bytes())
        listing = msgspec.convert(found, _Listing)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} lists no matched sets: {reason(error)}.") from None
    if not is_sealed(found) or any(set(each) != set(SIDES) for each in (listing.sources, listing.pictures)):
        raise InputError(f"{path} has been changed since it was written; match the sets again.")
    return listing
