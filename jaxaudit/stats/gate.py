"""The blind gate: can P be told from U without looking at the model?

If pixel statistics or compressed sizes alone separate P from U, a difference in membership scores says
nothing about training. The gate is a classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017; on
membership data Das et al., 2024, arXiv 2406.16201) on K features that never saw the model:

  z = normal scores of each feature's ranks over P and U together: no outlier dominates                (1)
  w = (Z'Z + lambda N I)⁻¹ Z'y: ridge regression on the labels, a regularised linear discriminant      (2)
  AUC of the out-of-fold scores in 5 folds, the larger of that on z and on (z, z²): shifts and spreads (3)
  p = (b + 1) / (B + 1), b of B relabellings, each with its classifier refitted, reaching it           (4)

Folds and (1) ignore the labels, so (4) is exact. In (2) all relabellings are columns of one y: refitting
costs a matrix product, and every sample both trains and tests. Against logistic regression on half the
samples and a rank test on the other half this finds smaller shifts, and differences in spread that a linear
classifier misses.

Axes: n samples of P, m of U, N = n + m, K features, B relabellings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.results import Gate, Interval
from jaxaudit.stats.inputs import check_features, check_fraction, feature_matrices
from jaxaudit.stats.welch import check_permutable

_FOLDS = 5
_RIDGE = 0.1
_MOST_PER_SIDE = 2_000


def blind_gate(
    p_blind: Float[np.ndarray, "n K"],
    u_blind: Float[np.ndarray, "m K"],
    *,
    alpha: float = 0.01,
    names: Sequence[str] | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> Gate:
    """Tests whether P and U differ in features that never saw the model.

    Passing is no proof that they agree: with few samples only gross differences show.

    Args:
      p_blind: [n,K] features of P, in any unit; constant columns are left out.
      u_blind: [m,K] features of U.
      alpha: significance level.
      names: of the K features, for the errors.
      permutations: relabellings.
      seed: of folds, relabellings, and of the subset taken above 2,000 samples per side.

    Raises:
      InputError: if a feature is NaN or infinite, shapes do not fit, no feature varies, or there are too few
        samples or relabellings for a p-value <= alpha to exist.
    """
    check_fraction(alpha, "alpha")
    p, u, names = feature_matrices(p_blind, u_blind, names)
    check_features(p, u, names, allow_constant=True)
    check_permutable(len(p), len(u), alpha, permutations)
    rng = np.random.default_rng(seed)
    p, u = (x[rng.permutation(len(x))[:_MOST_PER_SIDE]] for x in (p, u))
    features = np.concatenate([p, u])
    features = features[:, np.ptp(features, axis=0) > 0]
    if features.shape[1] == 0:
        raise InputError(
            "Every blind feature is constant over P and U; they cannot test whether P and U differ."
        )

    order = rng.permutation(len(features))  # ties must not know which rows came first
    labels = (order < len(p)).astype(float)
    shuffled = rng.permuted(np.tile(labels, (permutations, 1)), axis=1)
    relabelled = np.concatenate([labels[None], shuffled]).T
    folds = rng.permutation(len(features)) % _FOLDS
    z = special.ndtri((stats.rankdata(features[order], axis=0) - 0.5) / len(features))
    auc = np.maximum(_aucs(z, relabelled, folds), _aucs(np.hstack([z, z**2]), relabelled, folds))
    p_value = float((1 + np.sum(auc[1:] >= auc[0] - 1e-12)) / (1 + permutations))
    low, median, high = np.quantile(auc[1:], [0.025, 0.5, 0.975])
    return Gate(
        passed=p_value > alpha,
        p_value=p_value,
        auc=float(auc[0]),
        chance_auc=Interval(float(median), float(low), float(high)),
        alpha=alpha,
        num_p=len(p),
        num_u=len(u),
        num_features=features.shape[1],
        permutations=permutations,
        seed=seed,
    )


def _aucs(
    x: Float[np.ndarray, "N K"], labels: Float[np.ndarray, "N B"], folds: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " B"]:
    """The out-of-fold AUC of the ridge classifier for every column of labels."""
    scores = np.empty_like(labels)
    for fold in range(_FOLDS):
        train, test = folds != fold, folds == fold
        center, spread = x[train].mean(axis=0), x[train].std(axis=0)
        spread[spread == 0] = 1.0
        fit, held_out = (x[train] - center) / spread, (x[test] - center) / spread
        gram = fit.T @ fit + _RIDGE * len(fit) * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, fit.T @ (labels[train] - labels[train].mean(axis=0)))
        scores[test] = held_out @ weights
    ranks = stats.rankdata(scores, axis=0)
    positive = labels[:, 0].sum()
    rank_sum = (ranks * labels).sum(axis=0)
    return (rank_sum - positive * (positive + 1) / 2) / (positive * (len(labels) - positive))
