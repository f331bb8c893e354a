"""How different the pictures of a model are from each other, beside how different pictures are.

  d = mean over pictures i of h_i,  h_i = mean over the others j of the same class of ||x_i - x_j||        (1)

in features x. (1) is a U-statistic of degree 2, whose error is that of the mean of 2 h_i (Hoeffding, Annals
of Mathematical Statistics 1948). Of two sets the ratio d / d' is told, 1: as diverse, 0: always the same
picture, with the interval of its logarithm:  ± z sqrt(s²/d² + s'²/d'²),  s = 2 sd(h) / sqrt(n)           (2)

Axes: n, m pictures, D features.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy import special
from scipy.spatial import distance

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import check_enough
from jaxaudit.stats.intervals import CONFIDENCE


def relative_diversity(
    features: Float[np.ndarray, "n D"],
    labels: Int[np.ndarray, " n"],
    others: Float[np.ndarray, "m D"],
    other_labels: Int[np.ndarray, " m"],
    *,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The ratio of (1) of a set to that of another, with interval (2).

    Args:
      features: [n,D] of generated pictures. labels: [n] classes, all alike where there are none.
      others: [m,D] of pictures that nobody generated. other_labels: [m] theirs.
      confidence: of the interval.

    Raises:
      InputError: if no class has two pictures, or the others are all alike.
    """
    (d, s), (d_other, s_other) = _spread(features, labels), _spread(others, other_labels)
    if d_other == 0:
        raise InputError("The pictures to compare with are all alike, so nothing is as diverse as they are.")
    ratio = d / d_other
    relative = np.hypot(s / d, s_other / d_other) if d > 0 else 0.0
    half = special.ndtri((1 + confidence) / 2) * relative
    return Interval(float(ratio), float(ratio * np.exp(-half)), float(ratio * np.exp(half)))


def _spread(features: Float[np.ndarray, "n D"], labels: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """d of (1), and its standard error."""
    means = []
    for label in np.unique(labels):
        rows = np.asarray(features, np.float64)[labels == label]
        if len(rows) > 1:
            means.append(distance.squareform(distance.pdist(rows)).sum(axis=1) / (len(rows) - 1))
    h = np.concatenate(means) if means else np.zeros(0)
    check_enough(h.size, 2, "pictures of one class")
    return float(h.mean()), 2 * float(h.std(ddof=1)) / np.sqrt(h.size)
