"""Records to JSON and back: whatever is written can be read, and what is read is what was meant.

A document begins with the number of its format. A reader knows one number and refuses every other; it refuses
unknown fields, missing fields and wrong types as well, in one sentence that names the file and the place.
JSON has no NaN and no infinity, so neither has a record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from jaxaudit.errors import InputError
from jaxaudit.files import write_atomically
from jaxaudit.paths import Location, as_place


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all results: a frozen record whose fields are plain values and other records."""

    def to_dict(self) -> dict[str, Any]:
        """The record as the dicts and lists that JSON will give back."""
        return to_plain(self)


class Document(Record, frozen=True, kw_only=True):
    """Base of the records that are files of their own: their first field is `format: Literal[n] = n`."""


D = TypeVar("D", bound=Document)
R = TypeVar("R", bound=Record)


def encode(record: Record) -> bytes:
    """The record as JSON, one field per line; equal records give equal bytes.

    NumPy's scalars become Python's. Nothing is written that cannot be read.

    Raises:
      InputError: if a number is NaN or infinite.
      ValueError: if a value is not of its field's type.
    """
    if place := _not_finite(record, ""):
        raise InputError(f"{type(record).__name__}{place} is NaN or infinite, and there are no such results.")
    text = msgspec.json.encode(record, enc_hook=_plain)
    again = msgspec.json.decode(text, type=type(record))  # an int in a field of floats becomes a float
    return msgspec.json.format(msgspec.json.encode(again), indent=1)


def decode(text: bytes, kind: type[D], name: str) -> D:
    """The document of this `kind` that `text` holds.

    Args:
      text: JSON.
      kind: the record to read.
      name: of the file, for the errors.

    Raises:
      InputError: for another format, an unknown or missing field, a wrong type, a number that is not finite,
        or text that is no JSON.
    """
    known = format_of(kind)
    try:
        found = msgspec.json.decode(text, type=_Header).format
        if type(found) is not int:
            raise InputError(f"{name} is no {kind.__name__}: it does not say which format it has.")
        if found != known:
            raise InputError(
                f"{name} has format {found} of {kind.__name__}, and this version reads format {known}: run "
                "the program that wrote it again, or read it with the version that did."
            )
        record = msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{name} is no {kind.__name__} of format {known}: {_one_line(error)}.") from None
    if place := _not_finite(record, ""):
        raise InputError(f"{name} is no {kind.__name__} of format {known}: {place[1:]} is NaN or infinite.")
    return record


def format_of(kind: type[Document]) -> int:
    """The number of the format in which documents of this kind are written and read."""
    return next(field.default for field in msgspec.structs.fields(kind) if field.name == "format")


def write_results(path: Location, record: Document) -> None:
    """Writes the document to `path`, whole or not at all.

    Raises:
      InputError, ValueError: as `encode`.
    """
    write_atomically(as_place(path), encode(record))


def read_results(path: Location, kind: type[D]) -> D:
    """The document of this `kind` in the file `path`.

    Raises:
      InputError: if there is no such file, or as `decode`.
    """
    try:
        text = as_place(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    return decode(text, kind, str(path))


def replace(record: R, **changes: Any) -> R:
    """The record with some fields changed."""
    return msgspec.structs.replace(record, **changes)


def to_plain(value: Any) -> Any:
    """Records, dataclasses and tuples as the dicts and lists that JSON will give back."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_plain))


class _Header(msgspec.Struct):
    format: Any = None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"{value!r} of type {type(value).__name__} is no value of a record.")


def _not_finite(value: Any, place: str) -> str | None:
    """The place of a number that is NaN or infinite, as a key or as a value."""
    if isinstance(value, float | np.floating):
        return None if math.isfinite(value) else place
    if isinstance(value, msgspec.Struct):
        items = ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
    elif isinstance(value, Mapping):
        items = ((f"[{key!r}]", part) for key, item in value.items() for part in (key, item))
    elif isinstance(value, tuple | list):
        items = ((f"[{index}]", item) for index, item in enumerate(value))
    else:
        return None
    return next((found for name, item in items if (found := _not_finite(item, place + name))), None)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
