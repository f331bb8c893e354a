"""The receiver operating characteristic (ROC) of a membership score, exact on raw scores with ties.

A sample is called a member if its score is > t.  With x the members' and y the nonmembers' scores:

  TPR(t) = #{x > t} / n,   FPR(t) = #{y > t} / m                                            (1)
  TPR@FPR=f: the largest TPR(t) with FPR(t) <= f.  With k = floor(f m) false positives allowed,
    the threshold is the (k+1)-th largest nonmember score: TPR = #{x > y_(k+1)} / n         (2)
  AUC = P(x > y) + P(x = y) / 2                                                             (3)

No score is scaled: all of this depends on ranks alone. TPR at low FPR follows Carlini et al.,
"Membership Inference Attacks From First Principles", IEEE S&P 2022.

Axes: n members, m nonmembers.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Real
from scipy.stats import rankdata

from jaxaudit.errors import InputError
from jaxaudit.results import RocCurve
from jaxaudit.stats.inputs import score_vectors


def tpr_at_fpr(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], *, fpr: float = 0.01
) -> float:
    """The best true-positive rate among all thresholds with a false-positive rate <= `fpr`, equation (2).

    For `fpr` < 1/m that is the rate at zero false positives.

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      fpr: in [0, 1].

    Raises:
      InputError: if a score is NaN or infinite, a side is empty, or `fpr` is out of range.
    """
    members, nonmembers = score_vectors(members, nonmembers)
    allowed = allowed_false_positives(fpr, nonmembers.size)
    return float(members_above(members, nonmembers, np.asarray([allowed]))[0] / members.size)


def auc(members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"]) -> float:
    """Area under the ROC curve in [0, 1], ties count one half, equation (3).

    Raises:
      InputError: if a score is NaN or infinite, or a side is empty.
    """
    members, nonmembers = score_vectors(members, nonmembers)
    n, m = members.size, nonmembers.size
    rank_sum = rankdata(np.concatenate([members, nonmembers]))[:n].sum()
    return float((rank_sum - n * (n + 1) / 2) / (n * m))


def strength(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], *, fpr: float
) -> tuple[float, float]:
    """(TPR at this FPR, AUC), by which the best of several scores is chosen: the AUC decides equal TPRs.

    Raises:
      InputError: as `tpr_at_fpr`.
    """
    return tpr_at_fpr(members, nonmembers, fpr=fpr), auc(members, nonmembers)


def roc_curve(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], *, max_points: int = 200
) -> RocCurve:
    """The curve at 0 .. m false positives; at most about `max_points` of them, evenly in log FPR.

    Raises:
      InputError: if a score is NaN or infinite, or a side is empty.
    """
    members, nonmembers = score_vectors(members, nonmembers)
    grid = np.unique(np.round(np.geomspace(1, nonmembers.size, max_points)).astype(int))
    allowed = np.concatenate([[0], grid])
    tpr = members_above(members, nonmembers, allowed) / members.size
    return RocCurve(fpr=tuple((allowed / nonmembers.size).tolist()), tpr=tuple(tpr.tolist()))


def best_threshold(members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"]) -> float:
    """The threshold t with the largest balanced accuracy (TPR(t) + 1 - FPR(t)) / 2 on a calibration set.

    Raises:
      InputError: if a score is NaN or infinite, or a side is empty.
    """
    members, nonmembers = score_vectors(members, nonmembers)
    candidates = np.unique(np.concatenate([members, nonmembers]))
    true_positives = members.size - np.searchsorted(np.sort(members), candidates, side="right")
    false_positives = nonmembers.size - np.searchsorted(np.sort(nonmembers), candidates, side="right")
    return float(candidates[np.argmax(true_positives / members.size - false_positives / nonmembers.size)])


def allowed_false_positives(fpr: float, m: int) -> int:
    """The largest k with k / m <= `fpr`: floor(fpr m), safe against rounding (0.29 · 100 is 28.999...).

    Raises:
      InputError: if `fpr` is not in [0, 1].
    """
    if not 0 <= fpr <= 1:
        raise InputError(f"A false-positive rate of {fpr} is not in [0, 1].")
    allowed = round(fpr * m)
    return allowed if allowed / m <= fpr else allowed - 1


def members_above(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], allowed: Int[np.ndarray, " K"]
) -> Int[np.ndarray, " K"]:
    """Number of members above the (k+1)-th largest nonmember, for every k in `allowed`.

    k = -1 asks for a threshold above everything (0 members), k >= m for one below everything (n).
    """
    thresholds = np.concatenate([[np.inf], np.sort(nonmembers)[::-1], [-np.inf]])
    index = np.clip(allowed, -1, nonmembers.size) + 1
    return members.size - np.searchsorted(np.sort(members), thresholds[index], side="right")
