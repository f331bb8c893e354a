"""How many more samples does CDI need where there are too few?

If all there are do not suffice, the curve of `jaxaudit.stats.cdi.power` is continued. With c = n/2 samples a
side to train on and as many to test, a linear scorer that must estimate F_e weights attains, of the distance
delta between P and U (Mahalanobis),

  d(c)² = delta⁴ / (delta² + 2 F_e / c)                     (expected; Raudys and Young, JMVA 2004)      (1)
  E[t] = d(c) sqrt(c / 2),   power = Phi(E[t] - z_{1-alpha})                                             (2)
  F_e = sum_j e_j / (e_j + 4 lambda),  e_j the eigenvalues of the features' correlations                 (3)

F_e are the weights left free by the ridge of the scorer. The mean of t over random splits of all samples
gives delta by (1) and (2); t of one split has a standard deviation of 1, and the mean over splits of the same
samples none larger, so mean(t) ± z bounds delta and the number needed.

Axes: n samples of P, m of U, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from jaxaudit.results import Forecast
from jaxaudit.stats.cdi import draws, scorer
from jaxaudit.stats.cdi.identification import Features
from jaxaudit.stats.cdi.power import identification_power
from jaxaudit.stats.inputs import named_features
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.stats.power import PUBLISHED_GRID

_MOST = 1e9  # samples


def forecast_samples(
    p_features: Features,
    u_features: Features,
    *,
    alpha: float = 0.01,
    power: float = 0.8,
    repetitions: int = 1_000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Forecast:
    """How many samples "split" needs to identify P: measured if there are enough, else by (1) and (2).

    In simulations with a third or more of the samples needed, the middle half of the continued estimates lay
    between 0.4 and 1.6 times the truth (further with a sixth), and 85 to 100% of the 95% intervals held it.

    Args:
      p_features: {name: [n]} or [n,F] features of P.
      u_features: {name: [m]} or [m,F] features of U.
      alpha: significance level.
      power: wanted probability of a p-value <= alpha.
      repetitions: draws of each size.
      confidence: of the interval.
      seed: of the draws.

    Raises:
      InputError: as `identify`; too few samples for any test among them.
    """
    p, u, _ = named_features(p_features, u_features)
    available = min(len(p), len(u))
    grid = sorted({*(n for n in PUBLISHED_GRID if n < available), available})
    curve = identification_power(
        p,
        u,
        alpha=alpha,
        power=power,
        repetitions=repetitions,
        grid=grid,
        confidence=confidence,
        seed=seed,
    )
    found = curve.required
    enough = found.estimate is not None
    if enough:
        limits = found.low, found.estimate, found.high
    else:
        limits = _continued(p, u, alpha, power, repetitions, confidence, np.random.default_rng(seed))
    return Forecast(
        enough=enough,
        low=limits[0],
        estimate=limits[1],
        high=limits[2],
        sentence=_sentence(enough, *limits, available, power),
        alpha=alpha,
        power=power,
        num_p=len(p),
        num_u=len(u),
        curve=curve,
    )


def _continued(
    p: Float[np.ndarray, "n F"],
    u: Float[np.ndarray, "m F"],
    alpha: float,
    power: float,
    repetitions: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[int | None, int | None, int | None]:
    """Lower limit, estimate and upper limit of the samples needed, to two digits."""
    pool, _ = scorer.make_pool(np.concatenate([p, u]))
    size = min(len(p), len(u))
    p_rows, u_rows = (draws.draw_rows(len(side), size, repetitions, rng) for side in (p, u))
    mean_t = draws.draw_p_values(pool, p_rows, len(p) + u_rows)[1].mean()
    eigenvalues = np.linalg.eigvalsh(np.atleast_2d(np.cov(pool[:, :-1], rowvar=False)))
    weights = float(np.sum(eigenvalues / (eigenvalues + 4 * scorer.RIDGE)))
    half = special.ndtri((1 + confidence) / 2)
    goal = special.ndtri(1 - alpha) + special.ndtri(power)
    low, estimate, high = (
        _samples_for(goal, t, size / 2, weights) for t in (mean_t + half, mean_t, mean_t - half)
    )
    return _two_digits(low, math.floor), _two_digits(estimate, math.ceil), _two_digits(high, math.ceil)


def _samples_for(goal: float, t: float, c: float, weights: float) -> float:
    """The n at which E[t] reaches `goal` if it is `t` with c samples a side; infinite if t <= 0."""
    if t <= 0:
        return math.inf
    d2 = 2 * t**2 / c
    delta2 = (d2 + math.sqrt(d2**2 + 8 * d2 * weights / c)) / 2  # (1) solved for delta²

    def missing(log_c: float) -> float:
        c = math.exp(log_c)
        return delta2 * math.sqrt(c / 2 / (delta2 + 2 * weights / c)) - goal

    if missing(math.log(_MOST)) < 0:
        return math.inf
    return 2 * math.exp(optimize.root_scalar(missing, bracket=(-20, math.log(_MOST)), method="brentq").root)


def _two_digits(samples: float, rounded: Callable[[float], int]) -> int | None:
    if math.isinf(samples):
        return None
    unit = 10 ** max(math.floor(math.log10(max(samples, 1))) - 1, 0)
    return max(rounded(samples / unit) * unit, 1)


def _sentence(
    enough: bool, low: int | None, estimate: int | None, high: int | None, available: int, power: float
) -> str:
    between = f"{low:,} to {high:,}" if low and high else f"{low:,} or more" if low else "unknown"
    if enough:
        return (
            f"{estimate:,} images of P and as many of U are enough to identify P in {power:.0%} of draws "
            f"({between})."
        )
    too_few = f"{available:,} images are too few"
    if estimate is None:
        least = f"; if P was trained on, {low:,} or more." if low else "."
        return f"{too_few}, and show no sign from which to tell how many would be needed{least}"
    doubt = "" if high else " They do not show whether there is anything to find."
    return (
        f"{too_few}; about {estimate:,} of P and as many of U would be needed to identify P in {power:.0%} "
        f"of cases ({between}).{doubt}"
    )
