"""The pictures a verdict counts: no altered copies across the sides, and of each cluster one row."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxaudit import stats
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence, Table


def without_copies(members: Table, nonmembers: Table) -> tuple[Table, Table]:
    """Both sides without pictures that are altered copies of the other's, which can stand for neither.

    Raises:
      InputError: if no picture of a side is left.
    """
    left = []
    for side, table in zip(SPLITS, (members, nonmembers), strict=True):
        own = table.copy_of == ""
        if not own.any():
            raise InputError(f"All {side} are altered copies of pictures of the other side; nothing is left.")
        left.append(table if own.all() else table.take(np.flatnonzero(own)))
    return left[0], left[1]


def independent(members: Table, nonmembers: Table) -> tuple[Table, Table]:
    """Both sides with a row for every cluster (`jaxaudit.stats.clusters`), after `without_copies`.

    A row has the name, the label and the digest of the first picture of its cluster.
    """
    r = stats.smallest_cluster(members.clusters, nonmembers.clusters)
    return _counted(members, r), _counted(nonmembers, r)


def counted_alike(table: Table, r: int) -> Table:
    """Other pictures with a row for every cluster of at least r, as `independent` has them of r."""
    sizes = np.bincount(table.clusters)
    return _counted(table.take(np.flatnonzero(sizes[table.clusters] >= r)), r)


def read_independent(evidence: Evidence) -> tuple[Table, Table]:
    """Both sides of the evidence, as a verdict counts them.

    Raises:
      InputError: as `Evidence.read` and `without_copies`.
    """
    members, nonmembers = (evidence.read(split) for split in SPLITS)
    return independent(*without_copies(members, nonmembers))


def _counted(table: Table, r: int) -> Table:
    rows = stats.first_of_clusters(table.clusters, r)
    if len(rows) == len(table):
        return table
    firsts = table.take(rows[:, 0])
    if r == 1:
        return firsts
    return dataclasses.replace(
        firsts,
        scores={name: values[rows].mean(axis=1) for name, values in table.scores.items()},
        features={name: values[rows].mean(axis=1) for name, values in table.features.items()},
        blind=table.blind[rows].mean(axis=1),
    )
