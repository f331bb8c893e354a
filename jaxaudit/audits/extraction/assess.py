"""From completions to counts: what was extracted, how much of it is distinct, and what passes by mistake.

A completion whose similarity to its original reaches the threshold is

    of a candidate            an extraction
    of a held-out picture     a false positive: the model never saw it, the prefix and the class gave it away

The bound on the false-positive rate is the exact one-sided one (Clopper and Pearson 1934); with none among n
it is 1 − 0.05^{1/n} ≈ 3/n, the rule of three. Candidates are the best ranked pictures of their class, and the
best of many are easier than the best of few. So what is compared (Fisher's exact test, one-sided) are
pictures of both sides that were chosen alike: the best ranked of equally many of each class
(`jaxaudit.audits.extraction.alike`).

Extracted pictures that are as similar to each other as completions must be to their original count once:
`distinct` are the connected components of that relation.

Axes: N pictures, P prefixes, D features, K pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.stats import fisher_exact

from jaxaudit.attacks.similarity import Similarity, nearest_other
from jaxaudit.audits.extraction.completion import Completions
from jaxaudit.audits.extraction.config import DEFAULTS, ExtractionConfig
from jaxaudit.audits.extraction.reference import Reference
from jaxaudit.results.extraction import (
    BoundedRate,
    Counts,
    ExtractionCounts,
    FalsePositives,
    PrefixCounts,
    ReferenceFacts,
    ShownPicture,
    SimilarityFacts,
    SimilarityHistograms,
)
from jaxaudit.stats import clopper_pearson

_CONFIDENCE = 0.95
_BINS = 60
_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
_BLOCK = 1024  # rows of similarities held at once
_GALLERY = 40  # pictures shown

Alike = tuple[Float[np.ndarray, "A P"], Float[np.ndarray, "B P"]]
"""Similarities of candidates and of held-out pictures that were chosen alike."""


def assess_extraction(
    candidates: Completions,
    validation: Completions | None,
    reference: Reference,
    similarity: Similarity,
    tokens_per_step: Sequence[int],
    config: ExtractionConfig = DEFAULTS,
    *,
    alike: Alike | None = None,
) -> tuple[ExtractionCounts, dict[str, np.ndarray]]:
    """Counts, rates and intervals, and the table of extracted pictures.

    Args:
      candidates: completions of training pictures.
      validation: those of held-out pictures; without them nothing is known about false positives.
      reference: training pictures that the threshold is put into context with.
      similarity: whose threshold counts, unless `config.threshold` does.
      tokens_per_step: of the target.
      config: see `ExtractionConfig`.
      alike: similarities from every prefix of pictures of both sides that were chosen alike; without them
        nothing is compared.

    Returns:
      counts: per prefix, the longest of which decides the status.
      extracted: {column: [E]}, a row per picture and prefix that reached the threshold, best first.
    """
    threshold = similarity.threshold if config.threshold is None else config.threshold
    clusters = _clusters(candidates, threshold)
    prefixes = [
        _prefix_results(candidates, validation, alike, clusters, column, threshold, tokens_per_step)
        for column in range(len(candidates.prefixes))
    ]
    others = nearest_other(reference.features)
    counts = ExtractionCounts(
        status=_status(prefixes[-1], config.alpha),
        score=candidates.candidates.score,
        num_ranked=Counts(
            candidates.candidates.num_ranked, validation.candidates.num_ranked if validation else 0
        ),
        num_completed=Counts(len(candidates), len(validation) if validation else 0),
        num_classes=len(np.unique(candidates.candidates.labels)),
        similarity=SimilarityFacts(
            name=similarity.name,
            threshold=threshold,
            default_threshold=similarity.threshold,
            meaning=similarity.meaning,
        ),
        confidence=_CONFIDENCE,
        alpha=config.alpha,
        prefixes=tuple(prefixes),
        reference=ReferenceFacts(
            size=len(reference.sample_ids),
            reaching_threshold=clopper_pearson(int(np.sum(others >= threshold)), len(others)),
            quantiles={q: float(np.quantile(others, q)) for q in _QUANTILES},
        ),
        gallery=_gallery(candidates, clusters, threshold),
        histograms=_histograms(
            threshold,
            candidates=candidates.similarity[:, -1],
            validation=validation.similarity[:, -1] if validation else np.zeros(0),
            nearest_other=others,
        ),
    )
    return counts, _extracted(candidates, clusters, threshold, tokens_per_step)


def _prefix_results(
    candidates: Completions,
    validation: Completions | None,
    alike: Alike | None,
    clusters: Int[np.ndarray, " N"],
    column: int,
    threshold: float,
    tokens_per_step: Sequence[int],
) -> PrefixCounts:
    """Counts for one prefix."""
    prefix = candidates.prefixes[column]
    reached = candidates.similarity[:, column] >= threshold
    own = candidates.similarity[:, column] >= candidates.nearest_other[:, column]
    tokens = int(sum(tokens_per_step[:prefix]))
    false_positives = p_value = None
    if validation is not None:
        passed = validation.similarity[:, column] >= threshold
        ours, theirs = (side[:, column] >= threshold for side in alike or (np.zeros((0, column + 1)),) * 2)
        false_positives = FalsePositives(
            all=_bounded(passed), chosen=_bounded(theirs), candidates=_bounded(ours)
        )
        p_value = _p_value(ours, theirs)
    return PrefixCounts(
        prefix=int(prefix),
        tokens=tokens,
        share=tokens / sum(tokens_per_step),
        extracted=int(reached.sum()),
        distinct=len(np.unique(clusters[reached])),
        closest_to_own=int((reached & own).sum()),
        rate=clopper_pearson(int(reached.sum()), len(reached), confidence=_CONFIDENCE),
        false_positives=false_positives,
        p_value=p_value,
    )


def _p_value(ours: Bool[np.ndarray, " N"], theirs: Bool[np.ndarray, " M"]) -> float | None:
    """Do candidates reach the threshold more often?  Fisher's exact test; None with nothing to compare."""
    if not (len(ours) and len(theirs)):
        return None
    table = [[int(side.sum()), int((~side).sum())] for side in (ours, theirs)]
    return float(np.asarray(fisher_exact(table, alternative="greater"))[1])


def _bounded(passed: Bool[np.ndarray, " N"]) -> BoundedRate:
    """A count with the one-sided upper bound of its rate."""
    count, trials = int(passed.sum()), len(passed)
    if not trials:
        return BoundedRate(count=0, trials=0, estimate=0.0, high=1.0)
    high = clopper_pearson(count, trials, confidence=2 * _CONFIDENCE - 1).high
    return BoundedRate(count=count, trials=trials, estimate=count / trials, high=high)


def _status(
    main: PrefixCounts, alpha: float
) -> Literal["extracted", "indistinguishable", "unchecked", "none"]:
    """What the longest prefix shows."""
    if not main.extracted:
        return "none"
    if main.p_value is None:
        return "unchecked"
    return "extracted" if main.p_value <= alpha else "indistinguishable"


def _clusters(candidates: Completions, threshold: float) -> Int[np.ndarray, " N"]:
    """A number from 1 for every candidate extracted from any prefix, the same within a cluster; 0 elsewhere.

    Clusters are numbered in the order of the candidates.
    """
    rows = np.flatnonzero((candidates.similarity >= threshold).any(1))
    numbers = np.zeros(len(candidates), np.int64)
    if rows.size:
        pairs = _similar_pairs(candidates.features[rows], threshold)
        graph = sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(len(rows),) * 2)
        _, components = sparse.csgraph.connected_components(graph, directed=False)
        _, first, inverse = np.unique(components, return_index=True, return_inverse=True)
        numbers[rows] = np.argsort(np.argsort(first))[inverse] + 1
    return numbers


def _similar_pairs(features: Float[np.ndarray, "N D"], threshold: float) -> Int[np.ndarray, "K 2"]:
    pairs = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(features), _BLOCK):
        found = np.argwhere(features[start : start + _BLOCK] @ features.T >= threshold)
        pairs.append(found + np.array([start, 0]))
    return np.concatenate(pairs)


def _extracted(
    candidates: Completions, clusters: Int[np.ndarray, " N"], threshold: float, tokens_per_step: Sequence[int]
) -> dict[str, np.ndarray]:
    ranked = candidates.candidates
    row, column = np.nonzero(candidates.similarity >= threshold)
    similarity = candidates.similarity[row, column]
    order = np.lexsort((ranked.sample_ids[row], -similarity, -column))
    row, column, similarity = row[order], column[order], similarity[order]
    nearest = candidates.nearest_other[row, column]
    prefixes = np.array(candidates.prefixes, np.int64)
    return {
        "sample_id": ranked.sample_ids[row],
        "label": ranked.labels[row],
        "prefix": prefixes[column],
        "prefix_tokens": np.cumsum([0, *tokens_per_step])[prefixes[column]],
        ranked.score: ranked.scores[ranked.score][row],
        "similarity": similarity,
        "nearest_other": nearest,
        "nearest_other_id": candidates.nearest_ids[row, column],
        "closest_to_own": similarity >= nearest,
        "cluster": clusters[row],
    }


def _gallery(
    candidates: Completions, clusters: Int[np.ndarray, " N"], threshold: float
) -> tuple[ShownPicture, ...]:
    """The most similar completions from the longest prefix, one of each cluster, best first."""
    ranked, similarity = candidates.candidates, candidates.similarity[:, -1]
    order = np.lexsort((ranked.sample_ids, -similarity))
    seen, rows = set(), []
    for row in order:
        if clusters[row] == 0 or clusters[row] not in seen:
            seen.add(clusters[row])
            rows.append(row)
    return tuple(
        ShownPicture(
            sample_id=str(ranked.sample_ids[row]),
            label=int(ranked.labels[row]),
            similarity=float(similarity[row]),
            nearest_other=float(candidates.nearest_other[row, -1]),
            extracted=bool(similarity[row] >= threshold),
        )
        for row in rows[:_GALLERY]
    )


def _histograms(threshold: float, **groups: np.ndarray) -> SimilarityHistograms:
    """Counts of each group in common bins up to 1, one of which begins at the threshold.

    What lies below the 1% quantile of all is in the lowest bin.
    """
    low = min(np.quantile(np.concatenate(list(groups.values())), 0.01), threshold - 1e-3)
    width = (1.0 - low) / _BINS
    if threshold < 1:
        width = (1.0 - threshold) / max(1, round((1.0 - threshold) / width))
    below = int(np.ceil((threshold - low) / width))
    above = round((1.0 - threshold) / width)
    edges = threshold + width * np.arange(-below, above + 1)
    counts = {
        name: np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for name, values in groups.items()
    }
    return SimilarityHistograms(
        edges=tuple(edges.tolist()), **{name: tuple(values.tolist()) for name, values in counts.items()}
    )
