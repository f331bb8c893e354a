"""Which pictures of two sides hang together, so that they do not count as many.

Within a side, a cluster are pictures with the same pixels, near-duplicates (`jaxaudit.data.duplicates`),
those that somebody declared to belong together (`?group=` of their source), and whatever these connect.

Across the sides, a picture that is connected to one of the other side by pixels and near-duplicates is an
altered copy of it, and neither of the two can stand for its side. Declared groups do not connect the sides:
pictures of one shoot, some of them published, are what should be compared.

Axes: N pictures of both sides, K pairs.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from jaxtyping import Int
from scipy import sparse

from jaxaudit.data.duplicates import Fingerprints, near_duplicates


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What is asked of the pictures of a side, in their order.

    Attributes:
      ids: their names. digests: of their pixels. prints: see `Fingerprints`.
      groups: the group each was declared to be of, None for none.
    """

    ids: Sequence[str]
    digests: Sequence[str]
    prints: Fingerprints
    groups: Sequence[str | None]


@dataclasses.dataclass(frozen=True)
class Clusters:
    """The clusters of a side, picture by picture.

    Attributes:
      firsts: the name of the first picture of each one's cluster; its own where it stands alone.
      copy_of: the name of a picture of the other side that it is an altered copy of; "" for none. Such
        pictures stand alone.
    """

    firsts: tuple[str, ...]
    copy_of: tuple[str, ...]

    @property
    def independent(self) -> list[int]:
        """The row of the first picture of each cluster, without those copies."""
        rows: dict[str, int] = {}
        for row, (first, copy) in enumerate(zip(self.firsts, self.copy_of, strict=True)):
            if not copy:
                rows.setdefault(first, row)
        return [*rows.values()]

    @property
    def num_independent(self) -> int:
        """How many these are."""
        return len(self.independent)

    @property
    def sha256(self) -> str:
        """Hex, over all of it."""
        return hashlib.sha256("\0".join((*self.firsts, *self.copy_of)).encode()).hexdigest()


def find_clusters(one: Seen, other: Seen) -> tuple[Clusters, Clusters]:
    """The clusters of two sides."""
    n, total = len(one.ids), len(one.ids) + len(other.ids)
    ids = [*one.ids, *other.ids]
    prints = Fingerprints(
        np.concatenate([one.prints.hashes, other.prints.hashes]),
        np.concatenate([one.prints.thumbnails, other.prints.thumbnails]),
    )
    same = _pairs_of_equals([*one.digests, *other.digests])
    once = np.setdiff1d(np.arange(total), same[:, 1])
    looks = connected(total, (same, *(once[pairs] for pairs in near_duplicates(prints.take(once)))))
    # Components are named by their smallest row, which is one of the first side if any is.
    mirrored = np.full(total, -1)
    np.maximum.at(mirrored, looks[n:], np.arange(n, total))
    partner = np.where(np.arange(total) < n, mirrored[looks], np.where(looks < n, looks, -1))
    alone = np.flatnonzero(partner < 0)
    declared = [
        None if group is None else (side, group)
        for side, of_side in enumerate((one, other))
        for group in of_side.groups
    ]
    links = np.stack([looks[alone], alone], axis=1)
    clusters = connected(total, (links, alone[_pairs_of_equals([declared[row] for row in alone.tolist()])]))
    firsts = [ids[row] for row in clusters.tolist()]
    copies = [ids[row] if row >= 0 else "" for row in partner.tolist()]
    return (
        Clusters(tuple(firsts[:n]), tuple(copies[:n])),
        Clusters(tuple(firsts[n:]), tuple(copies[n:])),
    )


def connected(count: int, edges: Iterable[Int[np.ndarray, "_ 2"]]) -> Int[np.ndarray, " {count}"]:
    """[N] the smallest row that each of `count` rows is connected to, by pairs of rows in any blocks."""
    smallest = np.arange(count)
    for pairs in edges:
        if len(pairs):
            ends, places = np.unique(smallest[pairs], return_inverse=True)
            links = sparse.coo_array((np.ones(len(pairs), bool), places.reshape(-1, 2).T), (len(ends),) * 2)
            _, component = sparse.csgraph.connected_components(links, directed=False)
            _, first = np.unique(component, return_index=True)
            merged = np.arange(count)
            merged[ends] = ends[first][component]
            smallest = merged[smallest]
    return smallest


def _pairs_of_equals(values: Sequence[Hashable]) -> Int[np.ndarray, "K 2"]:
    """(first row of a value, later row of it), for every value but None."""
    first: dict[Hashable, int] = {}
    pairs = [
        (first[value], row)
        for row, value in enumerate(values)
        if value is not None and first.setdefault(value, row) != row
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)
