"""Which pairs to keep so that P and U agree in the mean of every covariate.

With differences d_ik = (covariate k of the picture of P) - (of its partner in U), in standard deviations,

  maximise  sum_i w_i   subject to   |sum_i w_i d_ik| <= t sum_i w_i for all k,  0 <= w_i <= 1             (1)

is cardinality matching (Zubizarreta, Paredes and Rosenbaum, Annals of Applied Statistics 2014) of pairs, as a
linear program: at an optimum at most as many w as there are constraints are fractions. These pairs go.

Axes: k pairs, Q covariates.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linprog

TOLERANCE = 0.01
"""t, standard deviations."""
_WHOLE = 1 - 1e-9


def balanced_pairs(
    differences: Float[np.ndarray, "k Q"], *, tolerance: float = TOLERANCE
) -> Bool[np.ndarray, " k"]:
    """[k] the pairs to keep, (1); all of them where nothing has to be balanced.

    Args:
      differences: [k,Q] of the pairs.
      tolerance: t, > 0.
    """
    k, q = differences.shape
    if k == 0 or q == 0:
        return np.ones(k, bool)
    limits = np.concatenate([(differences - tolerance).T, (-differences - tolerance).T])
    found = linprog(-np.ones(k), A_ub=limits, b_ub=np.zeros(2 * q), bounds=(0, 1), method="highs")
    return found.x >= _WHOLE
