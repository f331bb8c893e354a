"""Written, read and written again: the same record, and the same bytes."""

from pathlib import Path
from typing import TypeVar

from jaxaudit.results import Document, decode, encode, read_results

D = TypeVar("D", bound=Document)


def assert_round_trips(record: Document) -> None:
    text = encode(record)
    again = decode(text, type(record), "memory")
    assert again == record
    assert encode(again) == text


def read_back(path: Path, kind: type[D]) -> D:
    """What a program wrote, which writes the same bytes again."""
    record = read_results(path, kind)
    assert encode(record) == path.read_bytes()
    return record
