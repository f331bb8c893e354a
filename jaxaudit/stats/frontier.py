"""Which defence is worth its price: not dominated, at equal loss, and beside what costs nothing.

With the held-out loss and the leakage of every defence at every strength, both the lower the better,

  x dominates y  if  loss_x <= loss_y and leakage_x <= leakage_y, one of them less                       (1)

the frontier are those that nothing dominates. A curve runs from the undefended model through growing
strengths, and between two of its points on the straight line. As a baseline it is given its best: what it
leaks at a loss is the least that it leaks at this loss or a smaller one.                                  (2)

A defence *protects* if the limits of the adaptive attacker's TPR lie below those without the defence, and is
*none* if only the frozen attacker's do. Two intervals of 95% that do not touch, of attackers that are equally
strong, are seen in less than 2.5% of cases on this side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxaudit.errors import InputError
from jaxaudit.results import DefenceEffect, Interval


def frontier(loss: Float[np.ndarray, " n"], leakage: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which points nothing dominates, (1); of equal points all."""
    no_worse = (loss[:, None] <= loss) & (leakage[:, None] <= leakage)
    better = (loss[:, None] < loss) | (leakage[:, None] < leakage)
    return ~np.any(no_worse & better, axis=0)


def at_no_more_loss(
    loss: Float[np.ndarray, " n"], leakage: Float[np.ndarray, " n"], wanted: float
) -> float | None:
    """The least leakage of a curve at no more than a loss, (2); None where all of it has more.

    Args:
      loss, leakage: [n] of the curve, the undefended model first.
      wanted: the loss.

    Raises:
      InputError: if the curve has no point, or the two do not fit.
    """
    if loss.shape != leakage.shape or loss.ndim != 1 or not loss.size:
        raise InputError(
            f"A curve of losses {loss.shape} and leakages {leakage.shape} is none; expected [n]."
        )
    found = leakage[loss <= wanted].tolist()
    for i in range(loss.size - 1):
        a, b = loss[i], loss[i + 1]
        if min(a, b) < wanted < max(a, b):
            found.append(leakage[i] + (wanted - a) / (b - a) * (leakage[i + 1] - leakage[i]))
    return float(min(found)) if found else None


def effect(before: Mapping[str, Interval], after: Mapping[str, Interval]) -> DefenceEffect:
    """Whether a defence protects, from the TPR at levels "A0" and "A2" without and with it."""
    if after["A2"].high < before["A2"].low:
        return "protects"
    return "none" if after["A0"].high < before["A0"].low else "not shown"


def queries_back(before: Interval, by_queries: Sequence[tuple[int, Interval]]) -> int | None:
    """The fewest answers to average that bring the TPR back into the undefended interval, None if none do."""
    return next((count for count, tpr in by_queries if tpr.estimate >= before.low), None)
