"""Several p-values of one hypothesis as one, whatever their dependence.

Tests repeated on random splits or subsets of the same samples give p-values that depend on each other in
unknown ways. With K of them, at every true null and under every dependence:

  twice_mean:   min(1, 2 mean(p))     is a p-value   (Vovk and Wang, Biometrika 2020)
  twice_median: min(1, 2 median(p))   is a p-value   (Rüger, Metrika 1978)
  bonferroni:   min(1, K min(p))      is a p-value
  mean:         mean(p)               is not: it may be at most alpha with probability 2 alpha. Published.

Of several splits alike in strength the first two lose a factor of two and no more; the third is for a few
strong p-values among weak ones.

Axes: K p-values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError, unknown_name

_RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "twice_mean": lambda p: 2 * p.mean(axis=-1),
    "twice_median": lambda p: 2 * np.median(p, axis=-1),
    "bonferroni": lambda p: p.shape[-1] * p.min(axis=-1),
    "mean": lambda p: p.mean(axis=-1),
}
COMBINATIONS = tuple(_RULES)
"""Names of the rules; all but "mean", the published one, give p-values."""


def combine_p_values(
    p_values: Float[np.ndarray, "*batch K"], *, rule: str = "twice_mean"
) -> float | Float[np.ndarray, "*batch"]:
    """One p-value of K; a single one stays as it is.

    Args:
      p_values: [..., K] in [0, 1].
      rule: one of `COMBINATIONS`.

    Returns:
      [...] float64, at most 1; a number for [K].

    Raises:
      InputError: if there is no p-value, one is outside [0, 1] or NaN, or the rule is unknown.
    """
    p_values = np.asarray(p_values, np.float64)
    if rule not in _RULES:
        raise unknown_name("rule to combine p-values", rule, _RULES)
    if p_values.ndim == 0 or p_values.size == 0 or not np.all((p_values >= 0) & (p_values <= 1)):
        raise InputError(f"p-values of shape {p_values.shape} must be one or more numbers from 0 to 1.")
    if p_values.shape[-1] == 1:
        return p_values[..., 0]
    return np.minimum(_RULES[rule](p_values), 1.0)
