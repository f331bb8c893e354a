"""Where the bytes of pictures lie, and what tells whether they are still the same without reading them.

A file is taken for the same as long as its path, size and times of change are: that of its content (mtime)
and that of anything about it (ctime), which no program can set back. Whoever goes by this must look again at
the pixels before they count: file systems exist whose clocks stand still.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from etils import epath

_THREADS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Origin:
    """The bytes of the pictures of a source.

    Attributes:
      place: where they lie and as what they are read, the same from wherever it is asked.
      stamp: index -> text that becomes another one when the bytes of that picture may have.
    """

    place: str
    stamp: Callable[[int], str]

    def take(self, rows: Sequence[int]) -> Origin:
        """Of these rows, in this order."""
        return Origin(self.place, lambda index: self.stamp(rows[index]))


def file_stamp(path: str | os.PathLike[str]) -> str:
    """Size and times of change of a file, also of one in a bucket; "" if it cannot be asked."""
    try:
        if "://" in os.fspath(path):
            stored = epath.Path(path).stat()
            return f"{stored.length} {stored.mtime}"
        found = os.stat(path)
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    except OSError:
        return ""


def files_origin(place: str, paths: Sequence[str | os.PathLike[str]]) -> Origin:
    """Of rows that lie together in files: when one of them changes, all rows may have."""
    with ThreadPoolExecutor(_THREADS) as pool:
        stamps = list(pool.map(file_stamp, paths))
    stamp = hashlib.sha256("\n".join(stamps).encode()).hexdigest()
    return Origin(place, lambda index: f"{index} {stamp}")
