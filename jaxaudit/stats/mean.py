"""The mean of independent values and how well they determine it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import check_enough, check_fraction
from jaxaudit.stats.intervals import CONFIDENCE


def mean_interval(values: Float[np.ndarray, " n"], *, confidence: float = CONFIDENCE) -> Interval:
    """The mean with Student's interval: mean ± t_{n-1} · s / √n.

    Raises:
      InputError: for fewer than two values, or one that is not finite.
    """
    values = np.asarray(values, np.float64)
    check_fraction(confidence, "confidence")
    check_enough(len(values), 2, "values for an interval of their mean")
    if not np.isfinite(values).all():
        raise InputError(f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} values are not finite.")
    mean, width = values.mean(), stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return Interval(float(mean), float(mean - width), float(mean + width))
