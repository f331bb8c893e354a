"""Confidence intervals of rates, of the AUC and of the balanced accuracy.

Clopper–Pearson, for c successes among n trials at confidence 1 - 2a:
  low = BetaQuantile(a; c, n-c+1),  high = BetaQuantile(1-a; c+1, n-c)                                (1)

DeLong's variance of the AUC (DeLong et al., Biometrics 1988; ranks as in Sun and Xu, IEEE SPL 2014), with
midranks r over both sides, s within a side:
  v_i = (r_i - s_i) / m (members),   w_j = 1 - (r_j - s_j) / n (nonmembers)
  var = Var(v) / n + Var(w) / m                                                                       (2)
The interval is symmetric in log(AUC / (1 - AUC)), so it stays in (0, 1), with Student's t at Satterthwaite's
degrees of freedom of (2). At 95% it covers 95-97% in simulations, 92% with 20 against 200 at AUC 0.98.

The TPR at a fixed FPR has an interval of its own, `jaxaudit.stats.tpr_interval`.

Axes: n members, m nonmembers.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Real
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import check_enough, check_fraction, score_vectors

CONFIDENCE = 0.95


def clopper_pearson(successes: float, trials: float, *, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of a binomial rate, equation (1).

    Args:
      successes, trials: counts; not whole where they are effective counts of dependent draws.
      confidence: of the two-sided interval.

    Raises:
      InputError: if not 0 <= successes <= trials or trials is 0.
    """
    check_fraction(confidence, "confidence")
    if not 0 <= successes <= trials or trials == 0:
        raise InputError(f"{successes} successes among {trials} trials is no rate.")
    a = (1 - confidence) / 2
    failures = trials - successes
    low = special.betaincinv(successes, failures + 1, a) if successes > 0 else 0.0
    high = special.betaincinv(successes + 1, failures, 1 - a) if failures > 0 else 1.0
    return Interval(float(successes / trials), float(low), float(high))


def auc_interval(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], *, confidence: float = CONFIDENCE
) -> Interval:
    """AUC with DeLong's interval, equation (2).

    Where the variance is 0 (AUC 0 or 1, or everything tied) the interval is that of min(n, m) independent
    member-nonmember pairs, equation (1): perfect separation of 10 from 10 proves an AUC above 0.69 only.

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      confidence: of the two-sided interval.

    Raises:
      InputError: if a score is NaN or infinite, or a side holds fewer than 2.
    """
    check_fraction(confidence, "confidence")
    members, nonmembers = score_vectors(members, nonmembers)
    n, m = members.size, nonmembers.size
    check_enough(min(n, m), 2, "members and nonmembers for an AUC interval")
    ranks = stats.rankdata(np.concatenate([members, nonmembers]))
    v = (ranks[:n] - stats.rankdata(members)) / m
    w = 1 - (ranks[n:] - stats.rankdata(nonmembers)) / n
    estimate = float(v.mean())
    parts = v.var(ddof=1) / n, w.var(ddof=1) / m
    variance = sum(parts)
    if estimate in (0, 1) or variance < 1e-24:
        pairs = min(n, m)
        return clopper_pearson(estimate * pairs, pairs, confidence=confidence)
    df = variance**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    half = stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance) / (estimate * (1 - estimate))
    low, high = special.expit(special.logit(estimate) + np.array([-half, half]))
    return Interval(estimate, float(low), float(high))


def balanced_accuracy_interval(
    members: Real[np.ndarray, " n"],
    nonmembers: Real[np.ndarray, " m"],
    threshold: float,
    *,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Balanced accuracy (TPR + TNR) / 2 of "member if score > threshold", set on other samples.

    The two Clopper–Pearson intervals are combined by the distances of their limits from the estimates
    (Zou and Donner, Statistics in Medicine 2008).

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      threshold: of the score, chosen on a calibration set (`jaxaudit.stats.best_threshold`).
      confidence: of the two-sided interval.

    Raises:
      InputError: if a score is NaN or infinite, or a side is empty.
    """
    members, nonmembers = score_vectors(members, nonmembers)
    tpr = clopper_pearson(int(np.sum(members > threshold)), members.size, confidence=confidence)
    tnr = clopper_pearson(int(np.sum(nonmembers <= threshold)), nonmembers.size, confidence=confidence)
    estimate = (tpr.estimate + tnr.estimate) / 2
    below = np.hypot(tpr.estimate - tpr.low, tnr.estimate - tnr.low) / 2
    above = np.hypot(tpr.high - tpr.estimate, tnr.high - tnr.estimate) / 2
    return Interval(estimate, float(estimate - below), float(estimate + above))
