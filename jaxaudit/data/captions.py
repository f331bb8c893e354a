"""The captions of picture files, as they lie beside them.

    metadata.jsonl    one JSON object per line, as in Hugging Face's "imagefolder": "file_name", the path of a
                      picture from where the file lies, and its caption in "text" or "caption"
    captions.txt      one line per picture: its path, a tab, its caption

UTF-8. Pictures that a file does not name have no caption; names of pictures that are not there are ignored,
and so is a metadata.jsonl without captions. Another column of metadata.jsonl may say which pictures belong
together (a shoot, a series): text or an integer, which every picture must then have.
"""

import json
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jaxaudit.errors import InputError, reason

_METADATA = "metadata.jsonl"
FILES = (_METADATA, "captions.txt")
"""What files of captions are called."""

_COLUMNS = ("text", "caption")


def find_captions(folder: str, paths: Iterable[str]) -> dict[str, str]:
    """{path of a picture: caption}, from the files of captions in the folder and in those on the `paths`.

    Args:
      folder: the top.
      paths: of the pictures within it, with "/".

    Raises:
      InputError: as `read_captions`, or if two files speak of one picture.
    """
    found: dict[str, str] = {}
    for prefix in _folders(paths):
        for name in FILES:
            file = os.path.join(folder, prefix, name)
            if os.path.isfile(file):
                captions = {
                    posixpath.normpath(posixpath.join(prefix, each)): text
                    for each, text in read_captions(file).items()
                }
                if twice := found.keys() & captions.keys():
                    raise InputError(f"{file} gives {min(twice)!r} a second caption; keep one of them.")
                found |= captions
    return found


def find_groups(folder: str, paths: Sequence[str], column: str) -> list[str]:
    """The value of a column of metadata.jsonl, of every picture, from all such files as `find_captions`.

    Raises:
      InputError: if a file cannot be read, a value is neither text nor an integer, or a picture has none.
    """
    found: dict[str, str] = {}
    for prefix in _folders(paths):
        file = os.path.join(folder, prefix, _METADATA)
        if os.path.isfile(file):
            for number, name, values in _objects(file, _lines(file)):
                value = values.get(column)
                if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
                    raise InputError(
                        f'{file}, line {number}: "{column}" is {value!r}; expected text or an integer.'
                    )
                if value is not None:
                    found[posixpath.normpath(posixpath.join(prefix, name))] = str(value)
    if missing := [path for path in paths if path not in found]:
        raise InputError(
            f'{_METADATA} gives no "{column}" for {len(missing)} of {len(paths)} pictures of {folder}, e.g. '
            f"{missing[0]!r}; ?group={column} needs one for each."
        )
    return [found[path] for path in paths]


def read_captions(path: str) -> dict[str, str]:
    """{path of a picture: caption}, from a file as the module describes; its extension says which.

    Raises:
      InputError: if it cannot be read, a line is of another form, or a picture is named twice.
    """
    captions: dict[str, str] = {}
    for number, name, caption in (_json if path.endswith(".jsonl") else _tabbed)(path, _lines(path)):
        name = posixpath.normpath(name)
        if name in captions:
            raise InputError(f"{path}, line {number}: {name!r} has a caption already; give each picture one.")
        captions[name] = caption
    return captions


def _folders(paths: Iterable[str]) -> list[str]:
    """All folders on the paths, the top as ""."""
    folders = {""}
    for path in paths:
        while path := path.rpartition("/")[0]:
            if path in folders:
                break
            folders.add(path)
    return sorted(folders)


_Lines = list[tuple[int, str]]


def _lines(path: str) -> _Lines:
    """The lines that are not empty, with their numbers."""
    try:
        with open(path, encoding="utf-8") as file:
            return [(number, line) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The captions {path} cannot be read: {reason(error)}.") from error


def _objects(path: str, lines: _Lines) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(line, path of a picture, what is said of it)."""
    for number, line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number} is no JSON: {reason(error)}.") from error
        if not isinstance(values, dict) or not isinstance(values.get("file_name"), str):
            raise InputError(f'{path}, line {number} has no "file_name", the path of a picture.')
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{path}, line {number} holds half a character: {error.reason}.") from error
        yield number, values["file_name"], values


def _json(path: str, lines: _Lines) -> Iterator[tuple[int, str, str]]:
    for number, name, values in _objects(path, lines):
        column = next((column for column in _COLUMNS if column in values), None)
        if column is None:
            continue
        if not isinstance(values[column], str):
            raise InputError(f'{path}, line {number}: "{column}" is {values[column]!r}; expected one text.')
        yield number, name, values[column]


def _tabbed(path: str, lines: _Lines) -> Iterator[tuple[int, str, str]]:
    for number, line in lines:
        name, tab, caption = line.rstrip("\r\n").partition("\t")
        if not tab:
            raise InputError(f"{path}, line {number} has no tab between the picture and its caption.")
        yield number, name, caption
