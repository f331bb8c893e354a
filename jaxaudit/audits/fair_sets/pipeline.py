"""From two pools to two sets that are alike, and what was found when they were compared.

Axes: N pictures of both pools, k pairs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxaudit import stats
from jaxaudit.audits.fair_sets.features import Columns, Features, check_labels, features_of, read_pool
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.data import Clusters, Preprocessing, Source, check_labelled_alike, find_clusters
from jaxaudit.data.matched import SIDES
from jaxaudit.errors import InputError
from jaxaudit.paths import Location, as_place
from jaxaudit.results import FairSets, Histogram, PoolUse, SetLikeness
from jaxaudit.runtime.progress import Progress, silent

_LARGEST_VIEW = 256  # pixels
_BINS = 32


@dataclasses.dataclass(frozen=True)
class MatchConfig:
    """How pools are matched.

    Attributes:
      image_size: side of the pictures that features are taken of, pixels; 0 takes the short side of the
        smallest picture, at most 256.
      margin: by how much an AUC may exceed 1/2 between sets that count as alike.
      seed: of everything random.

    Raises:
      InputError: if a number is out of range.
    """

    image_size: int = 0
    margin: float = stats.MARGIN
    seed: int = 0

    def __post_init__(self):
        if self.image_size < 0:
            raise InputError(f"image_size={self.image_size} is no number of pixels; 0 chooses one.")
        if not 0 < self.margin < 0.5:
            raise InputError(f"margin={self.margin} is not between 0 and 0.5, half of what an AUC can tell.")


Listing = tuple[list[tuple[str, str]], list[tuple[str, str]]]
"""(id, digest of the pixels) of the pictures of P and of U, pair by pair."""


def check_pools(p: Source, u: Source) -> None:
    """Refuses pools that cannot be matched, as far as that is known before a picture is read.

    Raises:
      InputError: if one is too small, classes do not mean the same or none is in both, or one alone has
        embeddings, or of another width.
    """
    least = stats.PARTS * stats.FEWEST
    for source in (p, u):
        if len(source) < least:
            raise InputError(
                f"{len(source)} pictures ({source.spec}) are too few to be matched; at least {least} of each "
                "pool are needed."
            )
    if None not in (p.num_classes, u.num_classes) and p.num_classes != u.num_classes:
        raise InputError(
            f"{p.spec} tells {p.num_classes} classes apart ({p.label_rule}), {u.spec} {u.num_classes} "
            f"({u.label_rule}): the same label does not mean the same class."
        )
    check_labelled_alike((p.spec, p.labels), (u.spec, u.labels))
    if p.labels is not None and u.labels is not None:
        check_labels((p.spec, p.labels), (u.spec, u.labels))
    widths = [
        None if source.embeddings is None else {shape[-1] for shape in source.embeddings.shapes.values()}
        for source in (p, u)
    ]
    if widths[0] != widths[1] or (widths[0] is not None and len(widths[0]) != 1):
        said = " and ".join(
            f"{source.spec} has {'none' if each is None else f'some of {sorted(each)} channels'}"
            for source, each in zip((p, u), widths, strict=True)
        )
        raise InputError(f"Embeddings are compared channel by channel, but {said}.")


def match_sets(
    p: Source,
    u: Source,
    config: MatchConfig | None = None,
    *,
    directory: Location | None = None,
    progress: Progress = silent,
) -> tuple[FairSets, Listing]:
    """Matches pictures of two pools, and compares what was matched.

    Args:
      p, u: the pools.
      config: see `MatchConfig`.
      directory: keeps what can be seen of single pictures, so that a killed run goes on; None keeps nothing.
      progress: hears of pictures.

    Returns:
      what was found, and which pictures were matched.

    Raises:
      InputError: as `check_pools`, if pictures cannot be used or have changed, too few are independent or
        alike, or `directory` holds other pools.
    """
    config = config or MatchConfig()
    check_pools(p, u)
    sources, names = (p, u), ("P", "U")
    looked = [look(source, _view(config.image_size or 1), progress) for source in sources]
    size = config.image_size or min(_LARGEST_VIEW, *(each.looked.short_side for each in looked))
    clusters = find_clusters(looked[0].seen, looked[1].seen)
    own = [_independent(*each) for each in zip(names, looked, clusters, strict=True)]
    columns = [
        read_pool(each, _view(size), progress, None if directory is None else as_place(directory) / side)
        for each, side in zip(looked, SIDES, strict=True)
    ]
    labels = [each["label"] for each in columns]
    check_labels(*zip((p.spec, u.spec), labels, strict=True))
    kept = [_rows(each, rows) for each, rows in zip(columns, own, strict=True)]
    progress(0, 0, "Matching")
    features = features_of(*kept)
    matching, results = _matched(features, len(own[0]), config)
    uses = [
        _use(looked[i], clusters[i], kept[i]["label"], kept[1 - i]["label"], matching, sources[i].skipped)
        for i in (0, 1)
    ]
    found = FairSets(pools=dict(zip(SIDES, uses, strict=True)), image_size=size, **results)
    chosen = [rows[pairs] for rows, pairs in zip(own, matching.pairs.T, strict=True)]
    return found, (_named(looked[0], chosen[0]), _named(looked[1], chosen[1]))


def _view(size: int) -> Preprocessing:
    return Preprocessing(image_size=size, resize="bicubic", short_side=size, low=0.0, high=1.0)


def _independent(name: str, pictures: Pictures, clusters: Clusters) -> Int[np.ndarray, " n"]:
    """The rows that stand for a cluster each, and are no copy of a picture of the other pool."""
    if not clusters.num_independent:
        raise InputError(
            f"The pools overlap entirely: all {len(pictures.source)} pictures of {name} "
            f"({pictures.source.spec}) are copies of pictures of the other pool."
        )
    return np.array(clusters.independent)


def _named(pictures: Pictures, rows: Int[np.ndarray, " k"]) -> list[tuple[str, str]]:
    names = [pictures.source.ids[int(row)] for row in rows]
    return [(name, pictures.digests[name]) for name in names]


def _rows(columns: Columns, rows: Int[np.ndarray, " n"]) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def _matched(features: Features, n: int, config: MatchConfig) -> tuple[stats.Matching, dict[str, Any]]:
    """The pairs, and the fields of the results that follow from features and pairs."""
    values, labels = features.values, features.labels
    p, u = values[:n], values[n:]
    classes = None if labels is None else (labels[:n], labels[n:])
    matching = stats.pair_pools(
        p,
        u,
        p_labels=None if classes is None else classes[0],
        u_labels=None if classes is None else classes[1],
        seed=config.seed,
    )
    rows_p, rows_u = matching.pairs.T
    place = stats.positions(values)

    def compared(chosen_p: Int[np.ndarray, " a"], chosen_u: Int[np.ndarray, " b"]) -> SetLikeness:
        return stats.compare_pictures(
            p[chosen_p],
            u[chosen_u],
            positions=(place[:n][chosen_p], place[n:][chosen_u]),
            parts=(matching.p_part[chosen_p], matching.u_part[chosen_u]),
            labels=None if classes is None else (classes[0][chosen_p], classes[1][chosen_u]),
            seed=config.seed,
        )

    before, after = compared(np.arange(n), np.arange(len(u))), compared(rows_p, rows_u)
    odds = matching.p_log_odds, matching.u_log_odds
    histograms = _histograms(odds, (odds[0][rows_p], odds[1][rows_u]))
    return matching, {
        "answer": stats.likeness(after, config.margin),
        "features": features.kinds,
        "left_out": features.left_out,
        "num_classes": None if classes is None else len(np.intersect1d(*classes)),
        "classifiers": tuple(rule.classifiers for rule in matching.rules),
        "before": before,
        "after": after,
        "balance": stats.balance_of(p, u, p[rows_p], u[rows_u], features.names),
        "before_odds": histograms[0],
        "after_odds": histograms[1],
        "margin": config.margin,
        "pairs_needed": stats.pairs_needed(config.margin),
        "seed": config.seed,
    }


def _use(
    pictures: Pictures,
    clusters: Clusters,
    labels: Int[np.ndarray, " n"],
    others: Int[np.ndarray, " m"],
    matching: stats.Matching,
    skipped: dict[str, str],
) -> PoolUse:
    copies = sum(other != "" for other in clusters.copy_of)
    other_class = int(np.isin(labels, others, invert=True).sum())
    matched = len(matching.pairs)
    return PoolUse(
        source=pictures.source.spec,
        pictures=len(pictures.source),
        repeated=len(pictures.source) - len(labels) - copies,
        copies=copies,
        other_class=other_class,
        unmatched=len(labels) - other_class - matching.paired,
        unbalanced=matching.paired - matched,
        matched=matched,
        skipped=dict(skipped),
    )


def _histograms(
    *sets: tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]],
) -> list[Histogram]:
    """Of P and U in every set, in common bins between the 0.5% and 99.5% quantiles of all of the first."""
    low, high = np.quantile(np.concatenate(sets[0]), [0.005, 0.995])
    edges = np.linspace(low, max(high, low + 1e-9), _BINS + 1)
    counts = [[np.histogram(np.clip(side, low, high), edges)[0].tolist() for side in each] for each in sets]
    return [Histogram(tuple(edges.tolist()), tuple(of_p), tuple(of_u)) for of_p, of_u in counts]
