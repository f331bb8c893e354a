"""The pictures that count: no altered copies across the sides, and of each cluster one row.

A verdict is of a set, and a cluster stands as the mean of pictures (`independent`). What is told of single
pictures is of the first of each cluster (`one_of_each`): where a score is fitted or chosen on some and
reported on others, a copy among the others was seen before, and an interval would count it once more.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxaudit import stats
from jaxaudit.audits.pictures import Pictures, look_at_both
from jaxaudit.data import Clusters, Preprocessing, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence, Table
from jaxaudit.runtime.progress import Progress


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


def one_of_each(members: Table, nonmembers: Table) -> tuple[Table, Table]:
    """Both sides with the first picture of every cluster, as it is, after `without_copies`."""
    return _counted(members, 1), _counted(nonmembers, 1)


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


def read_one_of_each(evidence: Evidence) -> tuple[Table, Table]:
    """Both sides of the evidence, as what is told of single pictures counts them.

    Raises:
      InputError: as `Evidence.read` and `without_copies`.
    """
    members, nonmembers = (evidence.read(split) for split in SPLITS)
    return one_of_each(*without_copies(members, nonmembers))


def independent_pictures(pictures: Pictures, clusters: Clusters) -> Pictures:
    """Those of `one_of_each`, before anything is measured on them."""
    return dataclasses.replace(pictures, source=pictures.source.take(clusters.independent))


def independent_sources(
    members: Source, nonmembers: Source, preprocessing: Preprocessing, progress: Progress
) -> tuple[Source, Source]:
    """The pictures of `one_of_each`, for studies that draw sets of them.

    Raises:
      InputError: as `look_at_both`.
    """
    pictures, clusters = look_at_both(
        dict(zip(SPLITS, (members, nonmembers), strict=True)), preprocessing, progress
    )
    first, second = (independent_pictures(pictures[side], clusters[side]).source for side in SPLITS)
    return first, second


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
