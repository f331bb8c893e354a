"""Which pictures of P are members?  A list with a controlled share of errors.

  p_i = (1 + #{U >= s_i}) / (m + 1)        conformal: ties count against membership                       (1)
  listed: the R pictures with the smallest p, R = max{r: p_(r) <= q r / (n pi)}                           (2)
  pi = 1 (Benjamini and Hochberg, JRSS-B 1995) or, after Storey (JRSS-B 2002),
  pi = min(1, (1 + #{p > t}) / (n (1 - t))), t the last multiple of 1/(m + 1) up to 1/2                 (3)

If the nonmembers in P are drawn as U is, each of their p-values is valid. All share U and so depend on each
other, but positively, under which (2) keeps the expected share of nonmembers among those listed at q times
their share in P (Bates et al., Annals of Statistics 2023, who prove (3) for these p-values too).

The score must be oriented, higher = more likely a member, and fixed before U was seen: one named score, or a
scorer that was fitted on other pictures (control halves). A scorer that was fitted on this U scores it too
low, and nonmembers are listed.

No p-value is below 1/(m + 1): R pictures can be listed only if m + 1 >= n pi / (q R).

Axes: n pictures of P, m of U.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.results import Individuals
from jaxaudit.stats.inputs import check_fraction, score_vectors

_ROUNDING = 1 + 1e-9


def discover_members(
    published: Real[np.ndarray, " n"],
    unpublished: Real[np.ndarray, " m"],
    *,
    q: float = 0.05,
    storey: bool = False,
    ids: Sequence[str] | None = None,
) -> Individuals:
    """Lists pictures of P as members, of which at most a share `q` are nonmembers in expectation.

    Args:
      published: [n] scores of P, higher = more likely a member, by a score that was not fitted on this U.
      unpublished: [m] scores of U, which the model has not seen.
      q: false-discovery rate.
      storey: whether to estimate the share of nonmembers by (3), which lists more where most are members.
      ids: of P's pictures; their places, from "0", if none are given.

    Raises:
      InputError: if a score is NaN or infinite, a side is empty, `q` is not between 0 and 1, or ids are not
        one per picture.
    """
    check_fraction(q, "q")
    published, unpublished = score_vectors(published, unpublished)
    n, m = published.size, unpublished.size
    ids = tuple(map(str, range(n))) if ids is None else tuple(ids)
    if len(ids) != n or len(set(ids)) != n:
        raise InputError(f"{len(set(ids))} different ids do not fit {n} pictures of P.")
    p_values = conformal_p_values(published, unpublished)
    null_share = storey_null_share(p_values, m) if storey else 1.0
    adjusted = null_share * stats.false_discovery_control(p_values)
    listed = np.flatnonzero(adjusted <= q * _ROUNDING)
    listed = listed[np.argsort(-published[listed], kind="stable")]
    fewest = math.ceil(n * null_share / (q * (m + 1)) / _ROUNDING)
    return Individuals(
        q=q,
        discovered=tuple(ids[i] for i in listed),
        threshold=float(published[listed].min()) if listed.size else None,
        ids=ids,
        p_values=tuple(p_values.tolist()),
        adjusted_p_values=tuple(adjusted.tolist()),
        null_share=null_share,
        fewest=fewest if fewest <= n else None,
        num_p=n,
        num_u=m,
        scores=tuple(published.tolist()),
    )


def conformal_p_values(
    published: Real[np.ndarray, " n"], unpublished: Real[np.ndarray, " m"]
) -> Float[np.ndarray, " n"]:
    """Equation (1): how far up in U each picture's score would be, from 1/(m + 1) to 1.

    Args:
      published: [n] scores, higher = more likely a member.
      unpublished: [m] scores.

    Raises:
      InputError: if a score is NaN or infinite, or a side is empty.
    """
    published, unpublished = score_vectors(published, unpublished)
    m = unpublished.size
    return (1 + m - np.searchsorted(np.sort(unpublished), published, side="left")) / (m + 1)


def storey_null_share(p_values: Float[np.ndarray, " n"], m: int) -> float:
    """Equation (3): the share of nonmembers among n pictures, from conformal p-values against m of U."""
    t = (m + 1) // 2 / (m + 1)
    return float(min((1 + np.sum(p_values > t * _ROUNDING)) / (p_values.size * (1 - t)), 1.0))
