"""What one score gives away, in numbers. A new one is computed here, gets a field and a row of the report.

Axes: n members, m nonmembers, k samples of a subset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Real

from jaxaudit.results import MeanStd, PublishedScoreMetrics, ScoreMetrics
from jaxaudit.stats.intervals import auc_interval, balanced_accuracy_interval
from jaxaudit.stats.published import published_metrics
from jaxaudit.stats.tpr_interval import tpr_at_fpr_interval


def score_metrics(
    members: Real[np.ndarray, " n"],
    nonmembers: Real[np.ndarray, " m"],
    *,
    threshold: float,
    fprs: Sequence[float],
    confidence: float,
) -> ScoreMetrics:
    """The metrics with confidence intervals.

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      threshold: of the score, set on other samples.
      fprs: false-positive rates to report the TPR at.
      confidence: of the intervals.

    Raises:
      InputError: if a score is NaN or infinite, or a side holds fewer than 2.
    """
    return ScoreMetrics(
        tpr_at_fpr={f: tpr_at_fpr_interval(members, nonmembers, fpr=f, confidence=confidence) for f in fprs},
        auc=auc_interval(members, nonmembers, confidence=confidence),
        balanced_accuracy=balanced_accuracy_interval(members, nonmembers, threshold, confidence=confidence),
        threshold=threshold,
    )


def published_score_metrics(
    members: Real[np.ndarray, " n"],
    nonmembers: Real[np.ndarray, " n"],
    *,
    subsets: Sequence[Int[np.ndarray, " k"]],
    fprs: Sequence[float],
) -> PublishedScoreMetrics:
    """The metrics of the published code, mean and standard deviation over `subsets` of the rows.

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [n] scores.
      subsets: rows of either side, the same of both.
      fprs: false-positive rates to report the TPR at.

    Raises:
      InputError: if there are not as many members as nonmembers.
    """
    every = [published_metrics(members[rows], nonmembers[rows], fprs) for rows in subsets]
    return PublishedScoreMetrics(
        tpr_at_fpr={f: _mean_std([one.tpr_at_fpr[f] for one in every]) for f in fprs},
        auc=_mean_std([one.auc for one in every]),
        balanced_accuracy=_mean_std([one.accuracy for one in every]),
        threshold=0.5,
    )


def _mean_std(values: Sequence[float]) -> MeanStd:
    return MeanStd(mean=float(np.mean(values)), std=float(np.std(values, ddof=1)))
