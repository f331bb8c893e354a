"""How two quantities of a few models go together: Pearson's r and Spearman's rank correlation.

With n models and Fisher's z = artanh r, the limits are

  tanh(z ± q sqrt(v)),   v = 1 / (n - 3)  (Pearson; Fisher 1921),
                         v = (1 + r² / 2) / (n - 3)  (Spearman; Bonett & Wright, Psychometrika 2000)   (1)

q the normal quantile. Few models agree perfectly by chance, and (1) knows no doubt at r = 1: there the limit
on the other side is that of the largest rank correlation below one, 1 - 12 / (n³ - n).

(1) counts every model once. Checkpoints of one run, or models that share the luck of their pictures, are
fewer than they look, and their intervals too narrow.

Where a third quantity z moves leakage as well, as the length of training does in a grid of sizes and lengths,

  r_xy.z = (r_xy - r_xz r_yz) / sqrt((1 - r_xz²) (1 - r_yz²))                                         (2)

is the correlation that is left with z held; it has the limits (1) of n - 1 models.

Axes: n models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Real
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import check_enough, check_fraction
from jaxaudit.stats.intervals import CONFIDENCE

FEWEST = 5
"""Models; of four, one order in twelve is a perfect one."""


def pearson(
    x: Real[np.ndarray, " n"], y: Real[np.ndarray, " n"], *, confidence: float = CONFIDENCE
) -> Interval:
    """The linear correlation of x and y with limits (1).

    Raises:
      InputError: if there are fewer than `FEWEST`, a value is NaN or infinite, or x or y is constant.
    """
    x, y = _checked(x, y, confidence)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("A linear correlation needs finite values.")
    return _interval(np.corrcoef(x, y)[0, 1], len(x), lambda r: 1.0, confidence)


def spearman(
    x: Real[np.ndarray, " n"], y: Real[np.ndarray, " n"], *, confidence: float = CONFIDENCE
) -> Interval:
    """The correlation of the ranks of x and y, ties sharing theirs, with limits (1).

    Infinite values are the largest, or the smallest.

    Raises:
      InputError: if there are fewer than `FEWEST`, a value is NaN, or x or y is constant.
    """
    x, y = _checked(x, y, confidence)
    rank_correlation = np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]
    return _interval(rank_correlation, len(x), lambda r: 1 + r**2 / 2, confidence)


def partial_spearman(
    x: Real[np.ndarray, " n"],
    y: Real[np.ndarray, " n"],
    held: Real[np.ndarray, " n"],
    *,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """`spearman` of x and y among models alike in `held`, equation (2), with limits (1) of one model fewer.

    None where there is nothing to hold or nothing left (`held` is constant, or orders models as x or y does),
    and with no more models than `FEWEST`.

    Raises:
      InputError: as `spearman`.
    """
    x, y = _checked(x, y, confidence)
    if len(x) <= FEWEST or held.min() == held.max():
        return None
    ranks = np.stack([stats.rankdata(values) for values in (x, y, held)])
    xy, xz, yz = np.corrcoef(ranks)[np.triu_indices(3, 1)]
    if max(abs(xz), abs(yz)) > 1 - 1e-9:
        return None
    r = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    return _interval(r, len(x) - 1, lambda r: 1 + r**2 / 2, confidence)


def _checked(x: np.ndarray, y: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    check_fraction(confidence, "confidence")
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"Values of shapes {x.shape} and {y.shape} cannot be paired.")
    check_enough(len(x), FEWEST, "models for a correlation")
    for values in (x, y):
        if np.isnan(values).any():
            raise InputError("A correlation needs numbers; one is NaN.")
        if values.min() == values.max():
            raise InputError(f"All {len(values)} values are {values[0]:g}; a constant goes with nothing.")
    return x, y


def _interval(r: float, n: int, factor: Callable[[float], float], confidence: float) -> Interval:
    """(1), with v = factor(r) / (n - 3)."""
    estimate, nearly = float(np.clip(r, -1, 1)), 1 - 12 / (n**3 - n)
    quantile = special.ndtri((1 + confidence) / 2)

    def limit(side: int) -> float:
        at = estimate if abs(estimate) < nearly else np.copysign(nearly, estimate)
        return float(np.tanh(np.arctanh(at) + side * quantile * np.sqrt(factor(at) / (n - 3))))

    return Interval(estimate, min(limit(-1), estimate), max(limit(1), estimate))
