"""How often does each procedure accuse a model that has learned nothing?  Simulated, P and U being alike.

F features of a sample share half of their variance, as membership scores do; z is standard normal:

  normal:       x = z
  skewed:       x = exp(z)
  heavy_tails:  x = z / sqrt(c / 2), c from chi² with 2 degrees of freedom, common to the sample           (1)

Axes: R data sets, n samples of P, m of U, F features.
"""

from __future__ import annotations

import concurrent.futures

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from jaxaudit.errors import unknown_name
from jaxaudit.protocols import Procedure, get_procedure
from jaxaudit.results import FalsePositiveRate, Interval
from jaxaudit.stats.cdi import draws, scorer
from jaxaudit.stats.cdi.identification import check_request
from jaxaudit.stats.inputs import check_enough, check_fraction
from jaxaudit.stats.intervals import CONFIDENCE, clopper_pearson
from jaxaudit.stats.welch import enough_permutations, rank_p_value

NULL_KINDS = ("normal", "skewed", "heavy_tails")
_REFITS = 199  # unless alpha needs more


def false_positive_rate(
    procedure: Procedure | str,
    *,
    kind: str = "normal",
    num_p: int = 100,
    num_u: int = 100,
    num_features: int = 26,
    alpha: float = 0.01,
    repetitions: int = 1_000,
    permutations: int | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> FalsePositiveRate:
    """Simulates P and U from one distribution, again and again, and counts accusations.

    Args:
      procedure: of `identify`, or its name; some take num_p = num_u only.
      kind: of distribution, one of `NULL_KINDS`.
      num_p, num_u: samples.
      num_features: the published CDI has 26.
      alpha: significance level.
      repetitions: data sets simulated.
      permutations: relabellings of a procedure that refits for each; None: 199, or as many as alpha needs.
      confidence: of the intervals.
      seed: of the simulation.

    Raises:
      InputError: if the kind is unknown, a number is out of range, or there are too few samples or
        permutations for a p-value <= alpha to exist.
    """
    procedure = get_procedure(procedure)
    check_fraction(alpha, "alpha")
    check_enough(repetitions, 1, "repetitions")
    if kind not in NULL_KINDS:
        raise unknown_name("distribution", kind, NULL_KINDS)
    relabellings = procedure.permutations
    if procedure.refitted:
        relabellings = permutations or enough_permutations(alpha, usual=_REFITS, most=relabellings)
    check_request(procedure, num_p, num_u, alpha=alpha, splits=1, permutations=relabellings)
    rng = np.random.default_rng(seed)
    samples = num_p + num_u
    features = simulate_null(kind, (repetitions * samples, num_features), rng)
    pool, _ = scorer.make_pool(features)
    rows = np.arange(len(pool)).reshape(repetitions, samples)
    if procedure.refitted:
        p_values, t = _refitted(pool[rows], num_p, relabellings, rng)
    else:
        p_values, t = draws.draw_p_values(
            pool, rows[:, :num_p], rows[:, num_p:], procedure=procedure, alpha=alpha, seed=seed
        )

    def rate(events: np.ndarray) -> Interval:
        return clopper_pearson(int(events.sum()), repetitions, confidence=confidence)

    return FalsePositiveRate(
        procedure=procedure.name,
        kind=kind,
        num_p=num_p,
        num_u=num_u,
        num_features=num_features,
        alpha=alpha,
        accused=rate((p_values <= alpha) & ((t > 0) | (not procedure.two_sided))),
        small_p=rate(p_values <= alpha),
        mean_p=float(p_values.mean()),
        repetitions=repetitions,
        confidence=confidence,
        seed=seed,
    )


def simulate_null(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "n F"]:
    """[n,F] features of independent samples, equation (1)."""
    z = np.sqrt(0.5) * (rng.standard_normal((shape[0], 1)) + rng.standard_normal(shape))
    if kind == "skewed":
        return np.exp(z)
    if kind == "heavy_tails":
        return z / np.sqrt(rng.chisquare(2, (shape[0], 1)) / 2)
    return z


def _refitted(
    pools: Float[np.ndarray, "R M D"], num_p: int, permutations: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    is_p = np.arange(pools.shape[1]) < num_p

    def test(pool: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
        _, observed, permuted = scorer.refitted_statistics(pool, is_p, permutations, generator)
        return float(rank_p_value(np.array([observed]), permuted)[0]), observed

    with threadpool_limits(1), concurrent.futures.ThreadPoolExecutor(draws.num_cores()) as threads:
        results = list(threads.map(test, pools, rng.spawn(len(pools))))
    p_values, t = np.array(results).T
    return p_values, t
