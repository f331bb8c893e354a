"""Picture files in a folder.

A picture's class is the first folder on its path: the index itself if all those folders are named by
integers; its line in `?classes=FILE` (one folder name per line); with `?classes=sorted` its place among the
sorted names, if there are as many folders as classes (`resolve_labels` checks). Other names say nothing
about the target's classes ("zero" to "nine" sort otherwise than 0 to 9), and a flat folder has none.
`?label=N` gives one class to all, whatever the folders.

Files are listed once, by name alone: whatever has the extension of a picture counts, including kinds that
Pillow may not read, so that they are reported and not overlooked. Hidden files and folders, and the
thumbnails that systems leave behind, do not.

Captions are read from files beside the pictures (`jaxaudit.data.captions`), or from `?captions=FILE`, which
names pictures by their paths within the folder.

`?group=folder` says that pictures in one sub-folder, the last on their path, belong together; any other
`?group=COLUMN`, that those do which have one value in this column of metadata.jsonl
(`jaxaudit.data.captions`).
"""

import os
from collections.abc import Iterator, Mapping

import numpy as np

from jaxaudit.data.captions import find_captions, find_groups, read_captions
from jaxaudit.data.images import decode_image
from jaxaudit.data.origin import Origin, file_stamp
from jaxaudit.data.source import UNKNOWN_LABEL, Picture, Source, parse_label
from jaxaudit.errors import InputError, unknown_name

# fmt: off
_EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff",
    ".avif", ".heic", ".heif", ".jxl", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
    ".ico", ".pcx", ".qoi", ".sgi", ".dds", ".psd", ".dng", ".cr2", ".nef", ".arw",
)
# fmt: on
_LEFT_BEHIND = frozenset({"__MACOSX", "@eaDir"})
_FOLDER = "folder"  # in place of a column
_SORTED = "sorted"  # in place of a file of class names; one that is called so is ./sorted


def open_folder(location: str, options: Mapping[str, str]) -> Source:
    """`folder:PATH`; ids are the paths within it, with "/".

    Raises:
      InputError: if it is no folder, pictures stand both beside and in class folders, names do not fit, or
        captions cannot be read.
    """
    location = os.path.expanduser(location)
    if not os.path.isdir(location):
        what = "is a file, not a folder" if os.path.exists(location) else "does not exist"
        raise InputError(f"The folder {location} {what}.")
    if "classes" in options and "label" in options:
        raise InputError("A folder takes classes=FILE or label=N, not both.")
    try:
        paths = list(_pictures(location, "", ()))
        labels, num_classes, rule = _label(location, paths, options)
    except OSError as error:
        raise InputError(f"The folder {error.filename} cannot be listed: {error.strerror}.") from error
    ids = {path: _id(path) for path in paths}
    file = options.get("captions")
    captions = read_captions(os.path.expanduser(file)) if file else find_captions(location, paths)
    return Source(
        spec=f"folder:{location}",
        ids=list(ids.values()),
        read=lambda index: Picture(decode_image(os.path.join(location, paths[index]))),
        labels=labels,
        num_classes=num_classes,
        label_rule=rule,
        captions={ids[path]: caption for path, caption in captions.items() if path in ids},
        groups=_groups(location, paths, options["group"]) if "group" in options else None,
        file=lambda index: os.path.join(location, paths[index]),
        origin=Origin(
            f"folder:{os.path.realpath(location)}",
            lambda index: file_stamp(os.path.join(location, paths[index])),
        ),
    )


def _id(path: str) -> str:
    r"""Text for any name, different for each: bytes that are no UTF-8 as \xff, backslashes as \\."""
    return os.fsencode(path.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        shown = [
            entry for entry in entries if not entry.name.startswith(".") and entry.name not in _LEFT_BEHIND
        ]
    return sorted(shown, key=lambda entry: entry.name)


def _pictures(folder: str, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    """Paths within the folder, depth first in sorted order. `above` stops links that lead in a circle."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _pictures(entry.path, f"{prefix}{entry.name}/", (*above, here))
        elif entry.name.lower().endswith(_EXTENSIONS):
            yield prefix + entry.name


def _groups(folder: str, paths: list[str], column: str) -> list[str]:
    if column != _FOLDER:
        return find_groups(folder, paths, column)
    if beside := [path for path in paths if "/" not in path]:
        raise InputError(
            f"?group=folder: {len(beside)} pictures lie in no sub-folder of {folder}, e.g. {beside[0]!r}."
        )
    return [path.rpartition("/")[0] for path in paths]


def _label(folder: str, paths: list[str], options: Mapping[str, str]) -> tuple[np.ndarray, int | None, str]:
    """Labels [N] int32, the number of classes if the folders tell, and the rule in words."""
    if "label" in options:
        return np.full(len(paths), parse_label(options["label"]), np.int32), None, "?label"
    tops = [path.partition("/")[0] if "/" in path else "" for path in paths]
    beside = tops.count("")
    if beside == len(paths) and "classes" not in options:
        return np.full(len(paths), UNKNOWN_LABEL, np.int32), None, "there are no class folders"
    if beside:
        raise InputError(
            f"The folder {folder} holds {beside} pictures beside its class folders, e.g. "
            f"{paths[tops.index('')]!r}; move them into class folders, or give one class to all with "
            "?label=N."
        )
    names = [entry.name for entry in _entries(folder) if entry.is_dir()]
    if options.get("classes") == _SORTED:
        index = {name: place for place, name in enumerate(names)}
        num_classes, rule = len(names), "its class folders, in sorted order"
    elif "classes" in options:
        index = {name: line for line, name in enumerate(_class_names(options["classes"]))}
        for name in sorted(set(tops)):
            if name not in index:
                raise unknown_name(f"class (not in {options['classes']}):", name, index)
        num_classes, rule = len(index), f"the lines of {options['classes']}"
    elif all(name.isascii() and name.isdigit() for name in names):
        index = {name: parse_label(name) for name in names}
        if len(set(index.values())) < len(names):
            raise InputError(f"The folder {folder} names one class index twice: {', '.join(names[:20])}.")
        num_classes, rule = None, "the names of the class folders"
    else:
        index = dict.fromkeys(names, UNKNOWN_LABEL)
        num_classes, rule = None, "the names of its class folders are no class indexes"
    return np.asarray([index[name] for name in tops], np.int32), num_classes, rule


def _class_names(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            names = [line.strip() for line in file.read().rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The class names {path} cannot be read: {error}.") from error
    wrong = [name for line, name in enumerate(names) if not name or name in names[:line]]
    if wrong:
        raise InputError(
            f"{path} must hold one different class name per line; {wrong[0]!r} is empty or repeated."
        )
    return names
