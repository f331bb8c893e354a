"""What reading pictures tells, whatever they are shown to.

Axes: N pictures, H height, W width.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Int, Int32, UInt8, UInt64

from jaxaudit.data.duplicates import fingerprint
from jaxaudit.data.images import UnusableImageError, pixel_digest
from jaxaudit.data.source import NUM_READERS, UNKNOWN_LABEL, Source

_NOTHING = json.dumps(None)


@dataclasses.dataclass(frozen=True, eq=False)
class Traits:
    """Of N pictures, each a row of every column.

    Attributes:
      digest: text, `pixel_digest`; "" for a picture that cannot be read.
      reason: text, why it cannot be read; "" if it can.
      height, width: pixels, 0 if it cannot be read.
      hash, thumbnail: `jaxaudit.data.duplicates.fingerprint`.
      label: its class, where only reading tells, else UNKNOWN_LABEL.
      caption, group: text or null as JSON, where only reading tells.
    """

    digest: np.ndarray
    reason: np.ndarray
    height: Int32[np.ndarray, " N"]
    width: Int32[np.ndarray, " N"]
    hash: UInt64[np.ndarray, " N"]
    thumbnail: UInt8[np.ndarray, "N 256"]
    label: Int32[np.ndarray, " N"]
    caption: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.digest)

    def take(self, rows: Int[np.ndarray, " M"] | slice) -> Traits:
        """Those of these pictures, in this order."""
        return Traits(**{name: column[rows] for name, column in vars(self).items()})


def join_traits(parts: Sequence[Traits]) -> Traits:
    """The rows of all parts, one after another."""
    return Traits(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def read_traits(source: Source, rows: Sequence[int], *, num_threads: int = NUM_READERS) -> Traits:
    """Reads pictures of a source; what cannot be read has a reason."""
    with ThreadPoolExecutor(num_threads) as pool:
        found = list(pool.map(lambda index: _read(source, index), rows))
    columns: dict[str, Any] = {name: [row[name] for row in found] for name in _DTYPES}
    arrays = {name: np.array(columns[name], dtype) for name, dtype in _DTYPES.items()}
    arrays["thumbnail"] = arrays["thumbnail"].reshape(-1, 256)
    return Traits(**arrays)


def texts(column: np.ndarray) -> Iterator[str | None]:
    """What a column of JSON says, row by row."""
    return (None if value == _NOTHING else json.loads(value) for value in column.tolist())


_DTYPES = {
    "digest": np.str_,
    "reason": np.str_,
    "height": np.int32,
    "width": np.int32,
    "hash": np.uint64,
    "thumbnail": np.uint8,
    "label": np.int32,
    "caption": np.str_,
    "group": np.str_,
}
_UNREADABLE = {
    "digest": "",
    "height": 0,
    "width": 0,
    "hash": 0,
    "thumbnail": np.zeros(256, np.uint8),
    "label": UNKNOWN_LABEL,
    "caption": _NOTHING,
    "group": _NOTHING,
}


def _read(source: Source, index: int) -> dict[str, Any]:
    try:
        picture = source.read(index)
    except UnusableImageError as error:
        return {**_UNREADABLE, "reason": error.reason.encode("utf-8", "backslashreplace").decode()}
    found, thumbnail = fingerprint(picture.pixels)
    return {
        "digest": pixel_digest(picture.pixels),
        "reason": "",
        "height": picture.pixels.shape[0],
        "width": picture.pixels.shape[1],
        "hash": found,
        "thumbnail": thumbnail,
        "label": UNKNOWN_LABEL if picture.label is None else picture.label,
        "caption": json.dumps(picture.caption),
        "group": json.dumps(picture.group),
    }
