"""Which pictures are measured: nested subsets that are balanced over the classes, class by class.

Axes: N pictures, R nested subsets, C classes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

from jaxaudit.audits.pictures import Pictures
from jaxaudit.data import Source

_ALL_UP_TO, _SHARE_OF_MORE = 20_000, 0.01
_READERS = 16


@dataclasses.dataclass(frozen=True)
class Selection:
    """The pictures of the largest subset, class by class.

    Attributes:
      source: the pictures.
      labels: their classes, [N] int32.
      tiers: the smallest subset that each is in, [N].
      shares: R shares of the whole source, ascending.
    """

    source: Source
    labels: Int[np.ndarray, " N"]
    tiers: Int[np.ndarray, " N"]
    shares: tuple[float, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The pictures of every subset."""
        return tuple(int(np.sum(self.tiers <= tier)) for tier in range(len(self.shares)))

    def keep(self, pictures: Pictures) -> Selection:
        """Without the pictures that cannot be used."""
        usable = pictures.looked.usable
        return Selection(pictures.source, self.labels[usable], self.tiers[usable], self.shares)

    def parts(self, part_size: int) -> Iterator[range]:
        """Successive whole classes, at least `part_size` pictures at a time but for the last part."""
        ends = [*(np.flatnonzero(np.diff(self.labels)) + 1).tolist(), len(self.labels)]
        start = 0
        for end in ends:
            if end - start >= part_size or end == len(self.labels):
                yield range(start, end)
                start = end


def choose(source: Source, shares: Sequence[float] | None, seed: int) -> Selection:
    """The pictures of nested subsets of a source.

    Every subset takes the same number of pictures of each class, or all there are, in an order of its own by
    the sha256 of seed and id.

    Args:
      source: all pictures; where only they tell their class, all are read.
      shares: of the pictures, one for each subset. None: all of up to 20,000 pictures, 1% of more.
      seed: of the order.
    """
    labels, total = _labels(source), len(source)
    wanted = tuple(sorted(set(shares or (1.0 if total <= _ALL_UP_TO else _SHARE_OF_MORE,))))
    digests = [hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest() for sample_id in source.ids]
    by_class = [
        np.array(sorted(np.flatnonzero(labels == label), key=digests.__getitem__))
        for label in np.unique(labels)
    ]
    counts = np.array([len(rows) for rows in by_class])
    limits = [_equal_share(counts, max(1, round(share * total))) for share in wanted]
    rows = np.concatenate(by_class)
    tiers = np.concatenate(
        [np.searchsorted(limits, np.arange(count), side="right") for count in counts.tolist()]
    )
    kept = tiers < len(wanted)
    return Selection(source.take(rows[kept].tolist()), labels[rows[kept]], tiers[kept], wanted)


def _labels(source: Source) -> Int[np.ndarray, " N"]:
    """The classes of all pictures; where only pictures tell, all of them are read."""
    if source.labels is not None:
        return source.labels
    with ThreadPoolExecutor(_READERS) as pool:
        labels = list(pool.map(lambda index: source.load(index).label, range(len(source))))
    return np.asarray(labels, np.int32)


def _equal_share(counts: Int[np.ndarray, " C"], total: int) -> int:
    """The number of pictures per class with which there are `total` or more, from classes of `counts`."""
    per_class = np.arange(1, counts.max() + 1)
    sums = np.minimum(counts[None], per_class[:, None]).sum(1)
    return int(per_class[np.searchsorted(sums, total)])
