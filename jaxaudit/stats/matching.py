"""Pairs of a picture of P and one of U that are alike in what is known of them.

Pictures pair within a stratum (class label) only, and if their log-odds of being in P, given what can be seen
without the model, differ by no more than a caliper, 0.2 standard deviations (Austin, Pharmaceutical
Statistics 2011). What finds no partner stays out: pairing all of P with all of U would adjust for nothing.

One pass over the pictures in order of their log-odds pairs each with the nearest unpaired one of the other
side that came before it: greedy matching to the nearest neighbour without replacement, at the cost of
sorting. An optimal assignment, in cubic time, finds no more pairs, and somewhat closer ones.

Axes: n pictures of P, m of U, k pairs.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import special

from jaxaudit.errors import InputError
from jaxaudit.stats.inputs import check_finite

CALIPER = 0.2
"""Standard deviations of the log-odds."""
_EXTREME = 1e-6  # propensities nearer to 0 or 1 are taken as this near


@dataclasses.dataclass(frozen=True)
class Covariates:
    """What is known of the pictures of one set without asking the model.

    Attributes:
      strata: [n] class labels; None if there is one class.
      propensity: [n] probability of being in P, in [0, 1], of a blind classifier that was fitted without the
        picture (out of fold); None leaves pairs within a stratum to the order of the pictures.
    """

    strata: Int[np.ndarray, " n"] | None = None
    propensity: Real[np.ndarray, " n"] | None = None


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The result of `match_pairs`.

    Attributes:
      p, u: [k] places in P and in U.
      caliper: the largest difference of log-odds allowed; None without a propensity.
      imbalance: mean log-odds of P less those of U, in standard deviations, of all pictures and of the pairs;
        None without a propensity.
    """

    p: Int[np.ndarray, " k"]
    u: Int[np.ndarray, " k"]
    caliper: float | None
    imbalance: tuple[float, float] | None


def match_pairs(
    published: Covariates, unpublished: Covariates, n: int, m: int, *, caliper: float = CALIPER
) -> Pairs:
    """Pairs pictures of P with pictures of U.

    Args:
      published, unpublished: what is known of them.
      n, m: pictures of P and U.
      caliper: in standard deviations of the log-odds.

    Raises:
      InputError: if covariates do not fit the pictures or are known of one set only, a propensity is not in
        [0, 1], or the caliper is not above 0.
    """
    if not caliper > 0:
        raise InputError(f"A caliper of {caliper} standard deviations pairs nothing; it must be above 0.")
    strata = _pooled(published.strata, unpublished.strata, n, m, "strata")
    propensity = _pooled(published.propensity, unpublished.propensity, n, m, "propensities")
    log_odds = np.zeros(n + m) if propensity is None else _log_odds(propensity)
    spread = log_odds.std()
    width = caliper * spread
    order = np.lexsort((log_odds, np.zeros(n + m) if strata is None else strata))
    p, u = _pair_sorted(order, log_odds, strata, n, width)
    if propensity is None:
        return Pairs(p, u, None, None)

    def imbalance(of_p: np.ndarray, of_u: np.ndarray) -> float:
        return float((of_p.mean() - of_u.mean()) / spread) if spread > 0 and of_p.size else 0.0

    before = imbalance(log_odds[:n], log_odds[n:])
    return Pairs(p, u, float(width), (before, imbalance(log_odds[p], log_odds[n + u])))


def _pair_sorted(
    order: Int[np.ndarray, " N"],
    log_odds: Float[np.ndarray, " N"],
    strata: Int[np.ndarray, " N"] | None,
    n: int,
    width: float,
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Rows of P (below n) and of U, less n; the unpaired, all of one side, wait on a stack."""
    rows, places = order.tolist(), log_odds[order].tolist()
    classes = [0] * len(rows) if strata is None else strata[order].tolist()
    partner = np.full(n, -1)
    waiting: list[int] = []  # places in `rows`
    for here, row in enumerate(rows):
        if waiting and (rows[waiting[-1]] < n) != (row < n):
            last = waiting[-1]
            if classes[last] == classes[here] and places[here] - places[last] <= width:
                waiting.pop()
                partner[min(row, rows[last])] = max(row, rows[last]) - n
                continue
            waiting.clear()  # the others wait even further away
        waiting.append(here)
    (paired,) = np.nonzero(partner >= 0)
    return paired, partner[paired]


def _pooled(
    p: Real[np.ndarray, " n"] | None, u: Real[np.ndarray, " m"] | None, n: int, m: int, what: str
) -> Real[np.ndarray, " N"] | None:
    if p is None and u is None:
        return None
    if p is None or u is None:
        raise InputError(f"The {what} are known for one of P and U only.")
    if p.shape != (n,) or u.shape != (m,):
        raise InputError(f"The {what} of shapes {p.shape} and {u.shape} do not fit {n} and {m} pictures.")
    return np.concatenate([p, u])


def _log_odds(propensity: Real[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    check_finite(propensity.astype(np.float64), "propensities")
    if propensity.min() < 0 or propensity.max() > 1:
        raise InputError(
            f"Propensities from {propensity.min():g} to {propensity.max():g} are no probabilities."
        )
    return special.logit(np.clip(propensity.astype(np.float64), _EXTREME, 1 - _EXTREME))
