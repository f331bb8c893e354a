"""From pictures that the model is known to have been trained on to their scores, as of P and U."""

from __future__ import annotations

import dataclasses

from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.collect import Preparation
from jaxaudit.audits.known import SIDE, check_known, check_no_copies
from jaxaudit.audits.pictures import look
from jaxaudit.audits.sides import check_sides
from jaxaudit.data import Source, find_clusters
from jaxaudit.evidence import SPLITS
from jaxaudit.paths import Location
from jaxaudit.runtime.progress import Progress


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """Known members.

    Attributes:
      pictures: which. directory: keeps their evidence; created if missing.
    """

    pictures: Source
    directory: Location


def prepare_known(prepared: Preparation, known: Source, progress: Progress) -> Preparation:
    """Looks at the known members; they will be scored as what is `prepared`.

    Raises:
      InputError: if there are too few, labels do not mean the target's classes, pictures cannot be used, or
        one of them is the same as, or an altered copy of, a picture of P or U.
    """
    target = prepared.target
    check_known(len(known))
    check_sides(target, known, prepared.pictures["nonmembers"].source)
    pictures = look(resolve_condition(known, target), target.preprocessing, progress)
    progress(0, 0, "Looking for near-duplicates")
    for split, what in zip(SPLITS, ("published", "unpublished"), strict=True):
        clusters, _ = find_clusters(pictures.seen, prepared.pictures[split].seen)
        check_no_copies(dict(zip(pictures.source.ids, clusters.copy_of, strict=True)), what)
    check_known(clusters.num_independent)
    shared = {name: value for name, value in prepared.request.items() if name not in SPLITS}
    return dataclasses.replace(
        prepared,
        pictures={SIDE: pictures},
        clusters={SIDE: clusters},
        request={**shared, SIDE: {**pictures.request, "clusters_sha256": clusters.sha256}},
        run={**prepared.run, "skipped": {SIDE: pictures.looked.skipped}},
    )
