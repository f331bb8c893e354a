"""Are two sets of pictures alike? Asked by what had no part in matching them.

Matching (`jaxaudit.stats.fair_sets`) uses logistic regressions and means. It is judged by another family, a
forest of extremely randomised trees (Geurts et al., Machine Learning 2006), trained on the sets of two parts
of the pools and asked about the third, and by the blind gate (`jaxaudit.stats.gate`), whose kernel and
typicality matching did not look at; what it did balance, the gate's other parts cannot object to. With A the
AUC of the forest, its limits of 95% each, and a margin d,

  equal       A_high <= 1/2 + d
  different   A_low > 1/2 + d, or not equal and the gate finds a difference                              (1)
  too few     neither

No margin makes two sets the same: the best blind classifier is unknown.

Axes: n pictures of P, m of U, K features, Q of their components.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from jaxaudit.results import FeatureBalance, Likeness, SetLikeness
from jaxaudit.stats.frechet import frechet_distance, moments
from jaxaudit.stats.gate import blind_gate
from jaxaudit.stats.intervals import auc_interval
from jaxaudit.stats.set_test import MOST

MARGIN = 0.05
_LIMITS = 0.9  # two-sided, so 95% each
_TREES, _SMALLEST_LEAF = 100, 5


def likeness(after: SetLikeness, margin: float) -> Likeness:
    """The answer (1)."""
    if after.auc.high <= 0.5 + margin:
        return "equal"
    return "different" if after.auc.low > 0.5 + margin or not after.gate.passed else "too_few"


def pairs_needed(margin: float) -> int:
    """Pairs with which the limit of an AUC of 1/2 is at the margin: its variance is 1 / (6 pairs)."""
    return math.ceil((special.ndtri((1 + _LIMITS) / 2) / margin) ** 2 / 6)


def compare_pictures(
    p: Float[np.ndarray, "n K"],
    u: Float[np.ndarray, "m K"],
    *,
    positions: tuple[Float[np.ndarray, "n Q"], Float[np.ndarray, "m Q"]],
    parts: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]],
    labels: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]] | None = None,
    seed: int = 0,
) -> SetLikeness:
    """Compares two sets; of large ones 20,000 pictures each, drawn at random.

    Args:
      p, u: [n,K] and [m,K] features.
      positions: their leading components.
      parts: of the pools, that the pictures are of.
      labels: classes, None where there are none.
      seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(len(side))[:MOST] for side in (p, u)]
    p, u = p[rows[0]], u[rows[1]]
    own, other = parts[0][rows[0]], parts[1][rows[1]]
    classes = None if labels is None else (labels[0][rows[0]], labels[1][rows[1]])
    scores = forest_scores(np.concatenate([p, u]), np.concatenate([own, other]), len(p), seed=seed)
    distances = halved_distances(*(each[row] for each, row in zip(positions, rows, strict=True)))
    return SetLikeness(
        num_p=len(positions[0]),
        num_u=len(positions[1]),
        auc=auc_interval(scores[: len(p)], scores[len(p) :], confidence=_LIMITS),
        gate=blind_gate(
            p,
            u,
            p_labels=None if classes is None else classes[0],
            u_labels=None if classes is None else classes[1],
            seed=seed,
        ),
        between=distances[0],
        within_p=distances[1],
        within_u=distances[2],
    )


def forest_scores(
    features: Float[np.ndarray, "N K"], parts: Int[np.ndarray, " N"], n: int, *, seed: int = 0
) -> Float[np.ndarray, " N"]:
    """The share of trees, trained on the other parts, that take a picture for one of the first n."""
    from sklearn.ensemble import ExtraTreesClassifier  # slow to import, and only matched sets need it

    in_p, scores = np.arange(len(features)) < n, np.zeros(len(features))
    for part in np.unique(parts):
        forest = ExtraTreesClassifier(
            _TREES, min_samples_leaf=_SMALLEST_LEAF, class_weight="balanced", random_state=seed
        )
        forest.fit(features[parts != part], in_p[parts != part])
        scores[parts == part] = np.asarray(forest.predict_proba(features[parts == part]))[:, 1]
    return scores


def halved_distances(
    p: Float[np.ndarray, "n Q"], u: Float[np.ndarray, "m Q"]
) -> tuple[float | None, float | None, float | None]:
    """Fréchet distances of halves of equal size: of P and U (the mean of two), of P and of U with itself.

    None for sets too small for a distance of one component; of fewer pictures fewer components.
    """
    size = min(len(p), len(u)) // 2
    components = min(p.shape[1], size // 4)
    if components < 1:
        return None, None, None
    p1, p2, u1, u2 = (
        moments(side[start : start + size, :components]) for side in (p, u) for start in (0, size)
    )
    between = (frechet_distance(p1, u2) + frechet_distance(p2, u1)) / 2
    return between, frechet_distance(p1, p2), frechet_distance(u1, u2)


def balance_of(
    p: Float[np.ndarray, "n K"],
    u: Float[np.ndarray, "m K"],
    matched_p: Float[np.ndarray, "k K"],
    matched_u: Float[np.ndarray, "k K"],
    names: tuple[str, ...],
) -> tuple[FeatureBalance, ...]:
    """Standardised mean differences before and after, of features that vary, the largest before first."""
    spread = np.sqrt((p.var(axis=0) + u.var(axis=0)) / 2)
    varies = spread > 1e-12 * np.maximum(1, np.abs(p).max(axis=0))
    before, after = (
        np.where(varies, (a.mean(axis=0) - b.mean(axis=0)) / np.where(varies, spread, 1), 0)
        for a, b in ((p, u), (matched_p, matched_u))
    )
    order = np.argsort(-np.abs(before), kind="stable")
    return tuple(
        FeatureBalance(names[j], float(before[j]), float(after[j])) for j in order.tolist() if varies[j]
    )
