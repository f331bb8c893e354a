"""How much two measurements of the same pictures differ in what they give away.

With scores x, y of members and nonmembers from one measurement and x', y' from the other, and pictures drawn
anew with replacement, members and nonmembers apart, both measurements keeping theirs,

    ΔAUC = AUC(x', y') − AUC(x, y),   ΔTPR = TPR@FPR=f(x', y') − TPR@FPR=f(x, y)                       (1)

have the percentiles of the draws as intervals (Efron & Tibshirani 1993, chapter 13). With w_i and v_j how
often member i and nonmember j were drawn,

    AUC = Σ_ij w_i v_j (1[x_i > y_j] + 1[x_i = y_j] / 2) / Σ w Σ v                                      (2)

and the threshold of the TPR is the first nonmember, from the top, with more than f Σ v drawn up to it. What
both measurements share, the choice of pictures, cancels; a percentile interval of a TPR needs nonmembers
above the threshold, so f times their number should be 5 or more.

Axes: n members, m nonmembers, R repetitions.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Real

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import score_vectors
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.stats.roc import allowed_false_positives, auc, tpr_at_fpr

ScorePair = tuple[Real[np.ndarray, " n"], Real[np.ndarray, " m"]]
"""Scores of members and of nonmembers by one measurement."""


def paired_differences(
    first: ScorePair,
    second: ScorePair,
    *,
    fpr: float = 0.01,
    repetitions: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[Interval, Interval]:
    """ΔAUC and ΔTPR of (1), second minus first, with percentile intervals.

    Args:
      first, second: scores of the same members and of the same nonmembers, in one order.
      fpr: in [0, 1].
      repetitions: draws.
      seed: of the draws; equal seeds draw the same pictures.
      confidence: of the two-sided intervals.

    Raises:
      InputError: if the two measurements are not of as many pictures, a score is not finite, or a side is
        empty.
    """
    (x, y), (x2, y2) = score_vectors(*first), score_vectors(*second)
    if len(x) != len(x2) or len(y) != len(y2):
        raise InputError(
            f"{len(x)} members and {len(y)} nonmembers cannot be paired with {len(x2)} and {len(y2)}."
        )
    generator = np.random.default_rng(seed)
    w, v = (_counts(generator, len(side), repetitions) for side in (x, y))
    areas = _areas(x2, y2, w, v) - _areas(x, y, w, v)
    rates = _rates(x2, y2, w, v, fpr) - _rates(x, y, w, v, fpr)
    return (
        _interval(auc(x2, y2) - auc(x, y), areas, confidence),
        _interval(tpr_at_fpr(x2, y2, fpr=fpr) - tpr_at_fpr(x, y, fpr=fpr), rates, confidence),
    )


def _counts(generator: np.random.Generator, size: int, repetitions: int) -> Float[np.ndarray, "R N"]:
    """How often each picture is drawn."""
    return generator.multinomial(size, np.full(size, 1 / size), repetitions).astype(np.float64)


def _areas(
    x: Real[np.ndarray, " n"],
    y: Real[np.ndarray, " m"],
    w: Float[np.ndarray, "R n"],
    v: Float[np.ndarray, "R m"],
) -> Float[np.ndarray, " R"]:
    """(2), by the nonmembers below each member: sums of v in the order of y."""
    order = np.argsort(y)
    below = np.pad(np.cumsum(v[:, order], axis=1), ((0, 0), (1, 0)))
    less, at_most = (below[:, np.searchsorted(y[order], x, side)] for side in ("left", "right"))
    return np.einsum("rn,rn->r", w, less + at_most) / (2 * len(x) * len(y))


def _rates(
    x: Real[np.ndarray, " n"],
    y: Real[np.ndarray, " m"],
    w: Float[np.ndarray, "R n"],
    v: Float[np.ndarray, "R m"],
    fpr: float,
) -> Float[np.ndarray, " R"]:
    """The TPR of every draw."""
    from_top, members = np.argsort(y)[::-1], np.argsort(x)[::-1]
    drawn = np.cumsum(v[:, from_top], axis=1)
    threshold: Int[np.ndarray, " R"] = np.argmax(drawn > allowed_false_positives(fpr, len(y)), axis=1)
    above = len(x) - np.searchsorted(x[members][::-1], y[from_top], side="right")  # members above each
    counted = np.pad(np.cumsum(w[:, members], axis=1), ((0, 0), (1, 0)))
    return counted[np.arange(len(w)), above[threshold]] / len(x)


def _interval(estimate: float, draws: Float[np.ndarray, " R"], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))
