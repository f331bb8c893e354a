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

from jaxaudit.data import Source

_ALL_UP_TO, _SHARE_OF_MORE = 20_000, 0.01
_READERS = 16


def labelled(source: Source) -> Source:
    """The source with its labels at hand; where only pictures tell, all of them are read."""
    if source.labels is not None:
        return source
    with ThreadPoolExecutor(_READERS) as pool:
        labels = list(pool.map(lambda index: source.load(index).label, range(len(source))))
    return dataclasses.replace(source, labels=np.asarray(labels, np.int32))


def default_share(source: Source) -> float:
    """The share of a source that is measured unless one is named, see `LocalizeConfig`."""
    return 1.0 if len(source) <= _ALL_UP_TO else _SHARE_OF_MORE


def choose(
    source: Source, shares: Sequence[float], seed: int
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """The rows of the largest subset, by class, and the smallest subset that each of them is in.

    Every subset takes the same number of pictures of each class, or all there are, in an order of its own by
    the sha256 of seed and id.
    """
    digests = [hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest() for sample_id in source.ids]
    by_class = [
        np.array(sorted(np.flatnonzero(source.labels == label), key=digests.__getitem__))
        for label in np.unique(source.labels)
    ]
    counts = np.array([len(rows) for rows in by_class])
    limits = [_equal_share(counts, max(1, round(share * len(source)))) for share in shares]
    tiers = [np.searchsorted(limits, np.arange(len(rows)), side="right") for rows in by_class]
    kept = [tier < len(shares) for tier in tiers]
    return (
        np.concatenate([rows[keep] for rows, keep in zip(by_class, kept, strict=True)]),
        np.concatenate([tier[keep] for tier, keep in zip(tiers, kept, strict=True)]),
    )


def _equal_share(counts: Int[np.ndarray, " C"], total: int) -> int:
    """The number of pictures per class with which there are `total` or more, from classes of `counts`."""
    per_class = np.arange(1, counts.max() + 1)
    sums = np.minimum(counts[None], per_class[:, None]).sum(1)
    return int(per_class[np.searchsorted(sums, total)])


def whole_classes(labels: Int[np.ndarray, " N"], part_size: int) -> Iterator[range]:
    """Successive whole classes, at least `part_size` pictures at a time but for the last part."""
    ends = [*(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    start = 0
    for end in ends:
        if end - start >= part_size or end == len(labels):
            yield range(start, end)
            start = end
