"""Scores that are fitted: a linear function of features of a sample, trained on samples set aside.

With F features x of a sample, standardised on the N samples of the selection third, and y = 1 for members:

    logistic  minimise  1/N Σ_i log(1 + exp(−(2 y_i − 1)(w·x_i + b))) + λ/2 ‖w‖²,   score = w·x           (1)
    mixture   score = α x_1 / IQR_1 + (1 − α) x_2 / IQR_2,   α ∈ {0, 0.05, …, 1} of the largest AUC       (2)

(2) is that of Zhai et al. 2024 (CLiD): two features, higher = member, as they are; IQR is the distance
between their quartiles among the nonmembers. A feature without any is left out.

The third is the one on which `membership_inference` with the same seed selects scores and sets thresholds.
Every other sample is scored by the fit on the whole third. A sample of the third is scored by a fit on the
rest of the third (5 folds), so that selection is not misled by a score that has seen its own samples. Nor may
it have seen their copies: of copies of a picture one belongs here.

Axes: n members, m nonmembers, N samples a fit sees, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from jaxaudit.stats.inputs import check_features, feature_matrices
from jaxaudit.stats.membership import selection_split
from jaxaudit.stats.roc import auc

Fit = Literal["logistic", "mixture"]

_FOLDS = 5
_RIDGE = 0.1
_NEWTON_STEPS = 100  # a handful is enough
_TOLERANCE = 1e-9


def fitted_scores(
    members: Float[np.ndarray, "n F"],
    nonmembers: Float[np.ndarray, "m F"],
    *,
    fit: Fit = "logistic",
    seed: int = 0,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
    """Scores of all samples by (1) or (2), higher = more likely a member.

    They may be reported on outside the selection third only: that of `membership_inference` with this seed.
    Dataset inference must not use them on samples of the third.

    Args:
      members: [n,F] features.
      nonmembers: [m,F] features.
      fit: "logistic", (1), or "mixture", (2), of two features.
      seed: of the split; pass the same to `membership_inference`.

    Raises:
      InputError: if a feature is NaN or infinite, shapes do not fit, or there are too few samples.
    """
    x, y, names = feature_matrices(members, nonmembers, None)
    check_features(x, y, names, allow_constant=True)
    weigh = _FITS[fit]
    (members_set, members_rest), (nonmembers_set, nonmembers_rest) = selection_split(len(x), len(y), seed)
    scores = np.empty(len(x)), np.empty(len(y))
    weights = weigh(x[members_set], y[nonmembers_set])
    scores[0][members_rest], scores[1][nonmembers_rest] = (
        x[members_rest] @ weights,
        y[nonmembers_rest] @ weights,
    )
    folds = min(_FOLDS, len(members_set), len(nonmembers_set))
    for fold in range(folds):
        held, kept = _fold(members_set, fold, folds)
        held_nonmembers, kept_nonmembers = _fold(nonmembers_set, fold, folds)
        weights = weigh(x[kept], y[kept_nonmembers])
        scores[0][held], scores[1][held_nonmembers] = x[held] @ weights, y[held_nonmembers] @ weights
    return scores


def _fold(rows: Int[np.ndarray, " k"], fold: int, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Every `folds`-th of the rows, and the others."""
    held: Bool[np.ndarray, " k"] = np.arange(len(rows)) % folds == fold
    return rows[held], rows[~held]


def _mixture(
    members: Float[np.ndarray, "n 2"], nonmembers: Float[np.ndarray, "m 2"]
) -> Float[np.ndarray, " 2"]:
    """The weights of (2)."""
    low, high = np.quantile(nonmembers, (0.25, 0.75), axis=0)
    scale = np.divide(1.0, high - low, out=np.zeros(2), where=high > low)
    candidates = [scale * (share, 1 - share) for share in np.linspace(0, 1, 21)]
    return max(candidates, key=lambda weights: auc(members @ weights, nonmembers @ weights))


def _logistic(
    members: Float[np.ndarray, "n F"], nonmembers: Float[np.ndarray, "m F"]
) -> Float[np.ndarray, " F"]:
    """The weights of (1) for features as they are given, by damped Newton steps; 0 for a constant feature."""
    features = np.concatenate([members, nonmembers])
    member = np.arange(len(features)) < len(members)
    spread = features.std(axis=0)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    z = np.column_stack([(features - features.mean(axis=0)) * scale, np.ones(len(features))])
    penalty = np.full(z.shape[1], _RIDGE * len(z))
    penalty[-1] = 0.0

    def objective(weights: np.ndarray) -> float:
        margin = np.where(member, 1.0, -1.0) * (z @ weights)
        return np.logaddexp(0.0, -margin).sum() + 0.5 * np.sum(penalty * weights**2)

    weights = np.zeros(z.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = special.expit(z @ weights)
        gradient = z.T @ (p - member) + penalty * weights
        hessian = (z.T * (p * (1 - p))) @ z + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        while objective(weights - step) > objective(weights) and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= _TOLERANCE:
            break
    return weights[:-1] * scale


_FITS: dict[Fit, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "logistic": _logistic,
    "mixture": _mixture,
}
