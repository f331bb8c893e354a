"""What reading pictures told, kept for every later look at the same files.

    DIR/train-1a2b3c4d5e6f7a8b/                              one folder per place
        0f1e2d3c4b5a69788796a5b4c3d2e1f0-00000-of-00001.parquet    up to 2,048 pictures, a row each

A row is a picture: its `Traits`, and its `stamp`, a sha256 of its id and of what tells that its bytes are the
same (`Origin`). A file is named by the stamps of its rows, so a picture that was added, removed, renamed or
edited makes other names; then rows that any file of the folder holds are taken from there, and the rest is
read. Format and decoders are part of the folder's name: others read every picture anew.

A stamp is no proof. Whoever scores pictures by an index compares the pixels of each once it is read, and
forgets (`PictureIndex.forget`) what turns out to be of earlier ones.

The folder may be removed at any time; it costs one reading.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import features

from jaxaudit.data import Origin, Source, Traits, join_traits, read_traits
from jaxaudit.errors import InputError
from jaxaudit.evidence.claims import Manifest
from jaxaudit.evidence.shards import Shard, ShardFolder
from jaxaudit.paths import as_place, names_in
from jaxaudit.seals import json_sha256

_FORMAT = 1  # raised when a row tells something else
_ROWS = 2048  # of a file: what is lost when a run is killed
_STAMP = "stamp"
_THREADS = 32


class PictureIndex(ShardFolder):
    """The index of a source, written or not.

    Args:
      folder: of all indexes.
      source: what it is of.
      origin: where its bytes lie.
    """

    def __init__(self, folder: str, source: Source, origin: Origin):
        made_by = {"format": _FORMAT, "decoders": _decoders()}
        place = json_sha256({**made_by, "place": origin.place})[:16]
        super().__init__(as_place(folder) / f"{_readable(origin.place)}-{place}", Manifest(made_by, ()))
        self._source, self._origin = source, origin

    @functools.cached_property
    def _stamps(self) -> np.ndarray:
        """[N] of the pictures, as their files were when this was asked first; text."""
        with ThreadPoolExecutor(_THREADS) as pool:
            stamps = pool.map(self._origin.stamp, range(len(self._source)))
            named = (f"{name}\0{stamp}" for name, stamp in zip(self._source.ids, stamps, strict=True))
            return np.array([hashlib.sha256(each.encode()).hexdigest()[:32].encode() for each in named])

    def _stamps_of(self, shard: Shard) -> list[str]:
        return self._stamps[shard.start : shard.stop].astype(np.str_).tolist()

    def shards(self, split: str | None = None) -> list[Shard]:
        """The files, in the order of the source; each is a split of its own."""
        return [shard for shard in self._shards if split in (None, shard.split)]

    @functools.cached_property
    def _shards(self) -> list[Shard]:
        total = len(self._source)
        parts = [range(start, min(start + _ROWS, total)) for start in range(0, total, _ROWS)]
        return [
            Shard(
                hashlib.sha256(b"".join(self._stamps[part.start : part.stop].tolist())).hexdigest()[:32],
                0,
                1,
                part.start,
                part.stop,
            )
            for part in parts
        ]

    def compute(self, shard: Shard, done: Callable[[int], None]) -> dict[str, Any]:
        """The columns of a file, of which only those rows are read that no other file of the folder has."""
        stamps, (kept, place) = self._stamps_of(shard), self._elsewhere
        here = np.array([place.get(stamp, -1) for stamp in stamps])
        known, unknown = np.flatnonzero(here >= 0), np.flatnonzero(here < 0)
        read = read_traits(self._source, (shard.start + unknown).tolist())
        both = join_traits([read, *(each.take(here[known]) for each in kept)])
        done(len(shard))
        return {_STAMP: stamps, **vars(both.take(np.argsort(np.concatenate([unknown, known]))))}

    @functools.cached_property
    def _elsewhere(self) -> tuple[list[Traits], dict[str, int]]:
        """What files of other names hold of the pictures of missing ones, if any, and {stamp: row in it}."""
        ours = {shard.filename for shard in self.shards()}
        wanted = {stamp for shard in self.missing() for stamp in self._stamps_of(shard)}
        parts: list[Traits] = []
        place: dict[str, int] = {}
        for shard, stamps, traits in self._files():
            rows = [row for row, stamp in enumerate(stamps) if stamp in wanted and stamp not in place]
            if rows and shard.filename not in ours:
                place |= {stamps[row]: len(place) + i for i, row in enumerate(rows)}
                parts.append(traits.take(np.array(rows)))
        return ([join_traits(parts)] if parts else []), place

    def parts(self) -> Iterator[Traits]:
        """What is known of all pictures, in their order.

        Raises:
          InputError: if a file is missing or damaged.
        """
        return (_traits(self.read_shard(shard)) for shard in self.shards())

    def forget(self, sample_id: str) -> None:
        """Removes every file that speaks of the picture, so that it is read the next time."""
        stamp = self._stamps[list(self._source.ids).index(sample_id)].decode()
        for shard, stamps, _ in self._files():
            if stamp in stamps:
                self.path(shard).unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Shard, list[str], Traits]]:
        """Every sound file of the folder: its shard, the stamps of its rows, and its rows."""
        for name in sorted(names_in(self.directory)):
            if match := _NAME.fullmatch(name):
                shard = Shard(match[1], 0, 1, 0, _ROWS)
                try:
                    columns = self.read_shard(shard)
                except InputError:
                    continue
                yield shard, columns[_STAMP].tolist(), _traits(columns)


_NAME = re.compile(r"([0-9a-f]{32})-00000-of-00001\.parquet")


def _traits(columns: dict[str, np.ndarray]) -> Traits:
    return Traits(**{name: column for name, column in columns.items() if name != _STAMP})


def _readable(place: str) -> str:
    """The end of a place, as the name of a folder may begin."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", place.rstrip("/").rpartition("/")[2])[-40:]


def _decoders() -> dict[str, str | None]:
    """What turns bytes into pixels: Pillow, with all it decodes by."""
    return {name: features.version(name) for name in sorted(features.get_supported())}
