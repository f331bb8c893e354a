"""The share of a mixture: how much of P scores as M does, and how much as U.

If the members in P score as M do and the others as U, then F_P = pi F_M + (1 - pi) F_U, and the mean of any
function psi of the scores tells pi:

  pi = (E_P psi - E_U psi) / (E_M psi - E_U psi)                                                         (1)
  interval: {pi: (psi_P - pi psi_M - (1 - pi) psi_U)² <= z² (v_P/n + pi² v_M/k + (1 - pi)² v_U/m)}       (2)

(2) is Fieller's, asymptotic, and unbounded where M and U do not differ: then nothing can be told, nor where
its half length is more than z times 0.1, for single pictures are not separable enough. Shares for which P may
be such a mixture at all, whatever the distributions:

  {pi: sup_t |F_P - pi F_M - (1 - pi) F_U| <= e_P + pi e_M + (1 - pi) e_U}                               (3)
  e_n = sqrt(log(6 / alpha) / 2n)     (Dvoretzky, Kiefer, Wolfowitz; Massart, Annals of Probability 1990)

P's share is among them with probability at least 1 - alpha. If none is, P's members are unlike M, or its
others unlike U.

Axes: n pictures of P, m of U, k of M.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy import special

from jaxaudit.results import Interval

_LARGEST_ERROR = 0.1
"""Standard error of the share beyond which it is not told."""
_STEPS = 200
_SHARES = np.linspace(0, 1, _STEPS + 1)


def fieller(
    published: Float[np.ndarray, " n"],
    unpublished: Float[np.ndarray, " m"],
    known: Float[np.ndarray, " k"],
    *,
    confidence: float = 0.95,
) -> Interval | None:
    """The share (1) with its interval (2), cut to [0, 1].

    None where it cannot be told: M does not exceed U significantly, the interval is too long, or it is beyond
    0 or 1, as one interval in twenty may be.

    Args:
      published, unpublished, known: scores of P, U and M, higher = more likely a member.
      confidence: of the interval.
    """
    square = special.ndtri((1 + confidence) / 2) ** 2
    v_p, v_u, v_m = (side.var(ddof=1) / side.size for side in (published, unpublished, known))
    above, unit = published.mean() - unpublished.mean(), known.mean() - unpublished.mean()
    # (2) is a pi² - 2 b pi + c <= 0; it is an interval where a > 0.
    a = unit**2 - square * (v_m + v_u)
    b = above * unit - square * v_u
    c = above**2 - square * (v_p + v_u)
    if unit <= 0 or a <= 0:
        return None
    half = math.sqrt(max(b**2 - a * c, 0.0)) / a
    low, high = b / a - half, b / a + half
    if high < 0 or low > 1 or half > _LARGEST_ERROR * math.sqrt(square):
        return None
    return Interval(*(float(np.clip(x, 0, 1)) for x in (above / unit, low, high)))


def possible_shares(
    published: Float[np.ndarray, " n"],
    unpublished: Float[np.ndarray, " m"],
    known: Float[np.ndarray, " k"],
    *,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """The least and the largest share of (3), to 0.5% and rounded outwards; None if P is no mixture.

    Args:
      published, unpublished, known: scores of P, U and M.
      confidence: with which P's share is among them.
    """
    places = np.sort(np.concatenate([published, unpublished, known]))
    f_p, f_u, f_m = (
        np.searchsorted(np.sort(side), places, side="right") / side.size
        for side in (published, unpublished, known)
    )
    e_p, e_u, e_m = (
        math.sqrt(math.log(6 / (1 - confidence)) / (2 * side.size))
        for side in (published, unpublished, known)
    )
    distance = [np.abs(f_p - share * f_m - (1 - share) * f_u).max() for share in _SHARES]
    # From one share tried to the next, neither side of (3) changes by more than they differ.
    allowed = e_p + _SHARES * e_m + (1 - _SHARES) * e_u + 1 / _STEPS
    (possible,) = np.nonzero(distance <= allowed)
    if not possible.size:
        return None
    return float(_SHARES[max(possible[0] - 1, 0)]), float(_SHARES[min(possible[-1] + 1, _STEPS)])
