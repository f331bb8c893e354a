"""How far apart are members and nonmembers?  Hedges' g, with an interval for scores that need not be normal.

  d = (mean(x) - mean(y)) / s,  s² = (s_x² + s_y²)/2,  g = J d                                           (1)
Both variances weigh the same, as befits Welch's test (Delacre et al., 2021); J removes the small-sample bias.
What one score adds to the error of d (its influence), with u = (x - mean(x))/s and v = (y - mean(y))/s:
  xi = u - d u²/4,   eta = -v - d v²/4,   each less its mean                                             (2)
  e² = sum(xi²) / (n(n-1)) + sum(eta²) / (m(m-1))                                                        (3)
holds the third and fourth moments of the scores, but no tail that the sample lacks. So e is never taken below
its value for normal scores (Bonett, Psychological Methods 2008):
  e² >= d² (s_x⁴/(n-1) + s_y⁴/(m-1)) / (8 s⁴) + (s_x²/(n-1) + s_y²/(m-1)) / s²                           (4)
The limits are g ± J t e with Student's t at Welch's degrees of freedom; the one on the side to which the
influences lean is moved out by the skewness of the studentised d (Hall, The Bootstrap and Edgeworth
Expansion, 1992), the other stays:
  J e |gamma| (2t² + 1) / 6,   gamma = (sum(xi³)/n³ + sum(eta³)/m³) / e³, e of (3)                       (5)

Coverage in % at nominal 95%, for g = 0, 0.5 and 1 (4,000 simulated pairs of samples each):

              20 against 20     100 against 100    50 against 400     400 against 50
  normal      97.3 97.8 97.2    95.7 95.6 96.4     96.2 95.8 96.5     95.7 96.1 96.8
  t₃          97.7 97.0 95.4    95.9 95.2 92.2     96.2 94.2 92.3     96.3 94.9 91.7
  log-normal  98.2 95.0 90.1    96.7 93.2 89.8     95.0 97.4 94.6     95.3 90.0 87.5

At 1,000 against 1,000 and g = 1 it is 89% for t₃ and 93% for log-normal scores, (4) alone 71% and 65%; a
studentised bootstrap is no better (87% and 86% at 50 against 400). No interval of g is safe there, for g is
in units of a standard deviation that rare scores decide. That of the AUC is.

Axes: n members, m nonmembers.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Real
from scipy import special

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import check_enough, check_fraction, score_vectors
from jaxaudit.stats.intervals import CONFIDENCE


def hedges_g(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], *, confidence: float = CONFIDENCE
) -> Interval:
    """The difference of the means in standard deviations, equations (1) to (5); no randomness, O(n + m).

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      confidence: of the two-sided interval.

    Raises:
      InputError: if a score is NaN or infinite, a side holds fewer than 2, or neither side varies.
    """
    check_fraction(confidence, "confidence")
    members, nonmembers = score_vectors(members, nonmembers)
    n, m = members.size, nonmembers.size
    check_enough(min(n, m), 2, "members and nonmembers for a variance")
    if np.ptp(members) == 0 and np.ptp(nonmembers) == 0:
        raise InputError("Neither the members' nor the nonmembers' scores vary; g needs a variance.")
    scale = math.sqrt((members.var(ddof=1) + nonmembers.var(ddof=1)) / 2)
    d = float(members.mean() - nonmembers.mean()) / scale
    u, v = (members - members.mean()) / scale, (nonmembers - nonmembers.mean()) / scale
    var_u, var_v = float(u @ u) / (n - 1), float(v @ v) / (m - 1)  # their mean is 1
    df = (n - 1) * (m - 1) * (var_u + var_v) ** 2 / ((m - 1) * var_u**2 + (n - 1) * var_v**2)
    squared, third = np.add(_moments(_influence(u, d)), _moments(_influence(-v, d))).tolist()
    normal = d**2 * (var_u**2 / (n - 1) + var_v**2 / (m - 1)) / 8 + var_u / (n - 1) + var_v / (m - 1)
    error = math.sqrt(max(squared, normal))
    t = float(special.stdtrit(_welch_df(var_u, n, var_v, m), (1 + confidence) / 2))
    lean = third / squared**1.5 * (2 * t**2 + 1) / 6 if squared > 0 else 0.0
    low, high = d - error * (t + max(-lean, 0.0)), d + error * (t + max(lean, 0.0))
    unbias = _unbias(df)
    return Interval(unbias * d, unbias * low, unbias * high)


def _influence(side: Float[np.ndarray, " n"], d: float) -> Float[np.ndarray, " n"]:
    """Equation (2) for the standardised scores of one side, the nonmembers' with their sign turned."""
    values = side - d * side**2 / 4
    return values - values.mean()


def _moments(influence: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """One side's part of the second and of the third moment of d's error, equations (3) and (5)."""
    n = influence.size
    return float(np.mean(influence**2)) / (n - 1), float(np.mean(influence**3)) / n**2


def _welch_df(var_x: float, n: int, var_y: float, m: int) -> float:
    x, y = var_x / n, var_y / m
    return (x + y) ** 2 / (x**2 / (n - 1) + y**2 / (m - 1))


def _unbias(df: float) -> float:
    """J = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)), with df of s² in (1)."""
    if df <= 1:
        return 1.0
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
