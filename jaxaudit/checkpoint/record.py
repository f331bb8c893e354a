"""`target.json`: what a target is and which files belong to it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import msgspec

from jaxaudit.checkpoint.files import RECORD, sync
from jaxaudit.errors import InputError
from jaxaudit.paths import Place
from jaxaudit.seals import SEAL, is_sealed

FORMAT = 2


class Record(msgspec.Struct, frozen=True):
    """What `target.json` holds beside its format."""

    jaxaudit_version: str
    family: str
    config: dict[str, Any]
    preprocessing: dict[str, Any]
    provenance: dict[str, Any]
    num_params: int
    fingerprint: str
    params: str
    files: dict[str, File]
    sha256: str
    dtypes: list[str] = []  # targets of before do not say it
    vocabulary: str | None = None  # of the text encoder, where there is one


class File(msgspec.Struct, frozen=True):
    """A file of the checkpoint."""

    bytes: int
    sha256: str


def read_sealed(directory: Place) -> dict[str, Any]:
    """What the `target.json` of a directory holds.

    Raises:
      InputError: if it is damaged, of another format, changed since it was written, or names a file that is
        not in the directory.
    """
    path = directory / RECORD
    try:
        record = json.loads(path.read_text())
        version = record.get("format") if isinstance(record, dict) else None
        if version == 1:
            raise InputError(
                f"{path} has format 1, without seals; "
                f"`jaxaudit.checkpoint.reseal_target({str(directory)!r})` brings it to format {FORMAT}."
            )
        if version != FORMAT:
            raise InputError(f"{path} has format {version!r}; this jaxaudit reads format {FORMAT}.")
        msgspec.convert(record, Record)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    if not is_sealed(record):
        raise InputError(
            f"{path} has been changed since it was written: it does not match its {SEAL}. Convert or copy "
            "the target again."
        )
    for name in (record["params"], record.get("vocabulary") or "", *record["files"]):
        _check_inside(path, name)
    return record


def _check_inside(path: Place, name: str) -> None:
    """Raises InputError if a file that a record names may be elsewhere: its seal is no signature."""
    for place in (PurePosixPath(name), PureWindowsPath(name)):
        if place.anchor or ".." in place.parts:
            raise InputError(f"{path} names {name!r}, which is not in its directory; nothing of it is read.")


def put_in_place(directory: Path, record: Mapping[str, Any]) -> None:
    """Makes the directory the target that `record` describes, in one step."""
    partial = directory / f".{RECORD}.{uuid.uuid4().hex[:8]}.partial"
    partial.write_text(json.dumps(record, indent=1))
    sync(partial)
    os.replace(partial, directory / RECORD)
    sync(directory)
