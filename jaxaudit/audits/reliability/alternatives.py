"""Has the omnibus test power where there is any?  Against tests that each ask for one thing, simulated.

F scores of n images of P and of m of U; P is moved in seven ways, in standard deviations of a score, rho
being the correlation of the scores. Every test rejects at the same level; all but `split` and `refitted`
share one set of relabellings. The last alternative, half up and half down, is no trace of training, and has
to be called a contradiction.

Axes: R data sets, N = n + m samples, F scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxaudit.protocols import PERMUTATION, SPLIT
from jaxaudit.results import AlternativePower, Interval
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats import clopper_pearson, identify, relabelling
from jaxaudit.stats.omnibus import omnibus

_FEATURES = 18
PERMUTATIONS, REFITS = 999, 199
"""Relabellings of CDI: on a split, and refitted for each."""


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One way in which P differs.

    Attributes:
      name: in words.
      shift: [F] of P, in standard deviations.
      correlation: rho of the scores.
      law: of the independent parts, standardised: an array of a shape, from a generator.
    """

    name: str
    shift: tuple[float, ...]
    correlation: float = 0.0
    law: Callable[[np.random.Generator, tuple[int, int]], np.ndarray] = np.random.Generator.standard_normal


def _t3(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_t(3, shape) / np.sqrt(3)


def _lognormal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.exp(rng.standard_normal(shape)) / np.sqrt((np.e - 1) * np.e)


def _first(count: int, shift: float, rest: float = 0.0) -> tuple[float, ...]:
    return (shift,) * count + (rest,) * (_FEATURES - count)


ALTERNATIVES = (
    Alternative("nothing", _first(0, 0.0)),
    Alternative("all +0.15, independent", _first(18, 0.15)),
    Alternative("all +0.35, ρ = 0.9", _first(18, 0.35), 0.9),
    Alternative("2 of 18 by +0.55", _first(2, 0.55)),
    Alternative("1 of 18 by +0.3, ρ = 0.9", _first(1, 0.3), 0.9),
    Alternative("all +0.2, t₃", _first(18, 0.2), law=_t3),
    Alternative("all +0.25, log-normal", _first(18, 0.25), law=_lognormal),
    Alternative("half +0.2, half −0.2", _first(9, 0.2, -0.2)),
)


def alternative_power(
    alternative: Alternative,
    *,
    num_images: int = 100,
    alpha: float = 0.01,
    repetitions: int = 200,
    permutations: int = 999,
    seed: int = 0,
    progress: Progress = silent,
) -> AlternativePower:
    """Shares of data sets in which each test rejects.

    Args:
      alternative: how P differs.
      num_images: n = m.
      alpha: significance level.
      repetitions: data sets.
      permutations: relabellings; 199 of the refitted test.
      seed: of the simulation.
      progress: hears of data sets.
    """
    rng, n = np.random.default_rng(seed), num_images
    counts: dict[str, int] = {}
    contradicted = 0
    for done in range(repetitions):
        x = _simulate(alternative, n, rng)
        labels = relabelling.relabel(n, n, permutations, rng)
        found = omnibus(relabelling.normal_scores(x), labels)
        p_values = {"omnibus": found.p_value, **_others(x, labels, n, alpha, done)}
        for name, p in p_values.items():
            counts[name] = counts.get(name, 0) + (p <= alpha)
        contradicted += found.p_value <= alpha and found.contradicted
        progress(done + 1, repetitions, alternative.name)

    def rate(count: int) -> Interval:
        return clopper_pearson(count, repetitions)

    return AlternativePower(
        alternative=alternative.name,
        num_images=n,
        rejected={name: rate(int(count)) for name, count in counts.items()},
        contradicted=rate(int(contradicted)),
        repetitions=repetitions,
    )


def _simulate(alternative: Alternative, n: int, rng: np.random.Generator) -> Float[np.ndarray, "N F"]:
    shared = alternative.law(rng, (2 * n, 1))
    x = np.sqrt(1 - alternative.correlation) * alternative.law(rng, (2 * n, _FEATURES))
    x = x + np.sqrt(alternative.correlation) * shared
    x[:n] += alternative.shift
    return x


def _others(
    x: Float[np.ndarray, "N F"], labels: relabelling.Relabelling, n: int, alpha: float, seed: int
) -> dict[str, float]:
    """The p-values of tests that each ask for one thing."""
    t = labels.statistics(x)
    scaled = (x - x.min(axis=0)) / np.ptp(x, axis=0)
    ranks = labels.statistics(relabelling.normal_scores(x))
    together = {
        "sum": labels.statistics(scaled.sum(axis=1, keepdims=True))[:, 0],
        "rank sum": ranks.sum(axis=1),
        "max-T": t.max(axis=1),
        "Hotelling": relabelling.hotelling(t, x, 1e-6),
    }
    p_values = {name: float(relabelling.p_values(values)[0]) for name, values in together.items()}
    for name, procedure, permutations in (("split", SPLIT, PERMUTATIONS), ("refitted", PERMUTATION, REFITS)):
        test = identify(x[:n], x[n:], procedure=procedure, alpha=alpha, permutations=permutations, seed=seed)
        p_values[name] = test.p_value
    return p_values
