"""How many samples does CDI need?  The test on random subsets of n samples of P and n of U, for growing n.

The number needed is read off the rejection rates, as `jaxaudit.stats.power` does. If all there are do not
suffice, `jaxaudit.stats.cdi.forecast` goes on from there.

Axes: R repetitions, G sizes, n samples of P, m of U, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxaudit.protocols import SPLIT, Procedure, get_procedure
from jaxaudit.results import PowerCurve
from jaxaudit.stats.cdi import draws, scorer
from jaxaudit.stats.cdi.identification import Features
from jaxaudit.stats.inputs import check_enough, check_fraction, named_features
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.stats.power import PUBLISHED_GRID, summarise_draws, usable_sizes


def identification_power(
    p_features: Features,
    u_features: Features,
    *,
    procedure: Procedure | str = SPLIT,
    alpha: float = 0.01,
    power: float = 0.8,
    repetitions: int = 1_000,
    grid: Sequence[int] = PUBLISHED_GRID,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> PowerCurve:
    """Repeats `identify` on random subsets and finds the size it needs.

    Args:
      p_features: {name: [n]} or [n,F] features of P.
      u_features: {name: [m]} or [m,F] features of U.
      procedure: or its name: the sides, sizes and criterion; with `equal_sizes` the same rows of P and U. One
        that refits is drawn as `SPLIT`, and needs no more samples.
      alpha: significance level.
      power: fraction of draws that must reject.
      repetitions: draws of each size.
      grid: sizes; those above min(n, m), or too small for a p-value <= alpha, are left out.
      confidence: of the intervals.
      seed: of the draws.

    Raises:
      InputError: as `identify`, or if no size of the grid can be drawn.
    """
    procedure = get_procedure(procedure)
    check_fraction(alpha, "alpha")
    check_fraction(power, "power")
    check_enough(repetitions, 1, "repetitions")
    procedure = procedure.drawn_as
    p, u, _ = named_features(p_features, u_features)
    smallest = draws.fewest_drawable(procedure, alpha)
    sizes = usable_sizes(grid, smallest, min(len(p), len(u)), alpha)
    pool, _ = scorer.make_pool(np.concatenate([p, u]))
    rng = np.random.default_rng(seed)
    p_rows = draws.draw_rows(len(p), sizes[-1], repetitions, rng)
    u_rows = p_rows if procedure.equal_sizes else draws.draw_rows(len(u), sizes[-1], repetitions, rng)
    tests = [
        draws.draw_p_values(pool, p_rows[:, :n], len(p) + u_rows[:, :n], procedure=procedure) for n in sizes
    ]
    p_values, t = np.stack(tests, axis=-1)
    asked = {"alpha": alpha, "power": power, "confidence": confidence, "seed": seed}
    return summarise_draws(sizes, p_values, t, procedure, samples=(len(p), len(u)), **asked)
