"""A score from the densities of a value among known members and known nonmembers.

    log Λ(v) = log p_mem(v) − log p_non(v),   p Gaussian kernel densities, Scott's bandwidth               (1)

The densities are fitted on pictures set aside, so (1) is a fixed function of the value elsewhere.

Axes: n members, m nonmembers, N values.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import gaussian_kde

from jaxaudit.stats.inputs import check_not_constant, score_vectors


def likelihood_ratio(
    members: Float[np.ndarray, " n"], nonmembers: Float[np.ndarray, " m"], values: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """log Λ of (1) in nats, higher = more likely a member.

    Args:
      members, nonmembers: known ones, in any unit.
      values: others.

    Raises:
      InputError: if a known value is NaN or infinite, or those of a side are all equal.
    """
    known = score_vectors(members, nonmembers)
    for side, name in zip(known, ("members", "nonmembers"), strict=True):
        check_not_constant(side, f"of {name}")
    of_members, of_nonmembers = (gaussian_kde(side).logpdf(values) for side in known)
    return of_members - of_nonmembers
