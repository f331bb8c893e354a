"""Which pictures of both sides are compared: equally many of each class, and of these the best ranked.

The best 5 of 1,300 pictures are easier to complete than the best 5 of 50, memorised or not. So of a class
with n candidates and m held-out pictures min(n, m) of either side are drawn, by a hash of seed and id, before
the best ranked are chosen among them: if the model treats both sides alike, what was chosen is alike. Of
pictures that hang together (`jaxaudit.data.clusters`) one may be drawn, of altered copies across the sides
none.

Axes: N pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from jaxaudit.audits.extraction.ranking import Candidates, best_per_class, draws
from jaxaudit.data import Clusters


def independent_ids(clusters: Clusters, ids: Sequence[str], seed: int) -> set[str]:
    """Of each cluster the picture that is drawn first; no altered copies of the other side."""
    found: dict[str, tuple[float, str]] = {}
    of_cluster = zip(clusters.firsts, clusters.copy_of, draws(ids, seed), ids, strict=True)
    for first, copy, draw, sample_id in of_cluster:
        if not copy:
            found[first] = min(found.get(first, (2.0, "")), (draw, sample_id))
    return {sample_id for _, sample_id in found.values()}


def class_counts(labels: Int[np.ndarray, " N"]) -> dict[int, int]:
    """{class: its pictures}."""
    return dict(Counter(labels.tolist()))


def choose_alike(
    candidates: Candidates, held_out: Candidates, *, top_k: int, seed: int
) -> tuple[Candidates, Candidates]:
    """The pictures of either side that are compared: of equally many drawn of each class the best ranked.

    Args:
      candidates: independent ones: all, or of each class as many as there are held-out pictures of it, those
        with the smallest `draws`.
      held_out: all independent ones.
      top_k: of each class and side; 0 takes all that are drawn.
      seed: of the draws.
    """
    here, there = (class_counts(each.labels) for each in (candidates, held_out))
    equal = {label: min(here[label], there[label]) for label in here.keys() & there.keys()}
    first, second = (_best_drawn(each, equal, top_k, seed) for each in (candidates, held_out))
    return first, second


def _best_drawn(side: Candidates, of_class: dict[int, int], top_k: int, seed: int) -> Candidates:
    drawn = side.take(best_per_class(side.labels, -draws(side.sample_ids, seed), side.sample_ids, of_class))
    return drawn.take(best_per_class(drawn.labels, drawn.scores[drawn.score], drawn.sample_ids, top_k))
