"""The captions of picture files, as they lie beside them.

    metadata.jsonl    one JSON object per line, as in Hugging Face's "imagefolder": "file_name", the path of a
                      picture from where the file lies, and its caption in "text" or "caption"
    captions.txt      one line per picture: its path, a tab, its caption

UTF-8. Pictures that a file does not name have no caption; names of pictures that are not there are ignored,
and so is a metadata.jsonl without captions.
"""

import json
import os
import posixpath
from collections.abc import Iterable, Iterator

from jaxaudit.errors import InputError, reason

FILES = ("metadata.jsonl", "captions.txt")
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
    folders = {""}
    for path in paths:
        while path := path.rpartition("/")[0]:
            if path in folders:
                break
            folders.add(path)
    found: dict[str, str] = {}
    for prefix in sorted(folders):
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


def read_captions(path: str) -> dict[str, str]:
    """{path of a picture: caption}, from a file as the module describes; its extension says which.

    Raises:
      InputError: if it cannot be read, a line is of another form, or a picture is named twice.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [(number, line) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The captions {path} cannot be read: {reason(error)}.") from error
    captions: dict[str, str] = {}
    for number, name, caption in (_json if path.endswith(".jsonl") else _tabbed)(path, lines):
        if name in captions:
            raise InputError(f"{path}, line {number}: {name!r} has a caption already; give each picture one.")
        captions[name] = caption
    return captions


_Lines = list[tuple[int, str]]


def _json(path: str, lines: _Lines) -> Iterator[tuple[int, str, str]]:
    for number, line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number} is no JSON: {reason(error)}.") from error
        if not isinstance(values, dict) or not isinstance(values.get("file_name"), str):
            raise InputError(f'{path}, line {number} has no "file_name", the path of a picture.')
        column = next((column for column in _COLUMNS if column in values), None)
        if column is None:
            continue
        if not isinstance(values[column], str):
            raise InputError(f'{path}, line {number}: "{column}" is {values[column]!r}; expected one text.')
        yield number, values["file_name"], values[column]


def _tabbed(path: str, lines: _Lines) -> Iterator[tuple[int, str, str]]:
    for number, line in lines:
        name, tab, caption = line.rstrip("\r\n").partition("\t")
        if not tab:
            raise InputError(f"{path}, line {number} has no tab between the picture and its caption.")
        yield number, name, caption
