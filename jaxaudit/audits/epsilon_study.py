"""How good is the bound from one run?  Mechanisms whose epsilon is known, run again and again.

    randomised response   tells each coin truly with probability e^eps / (1 + e^eps): (eps, 0)             (1)
    Gaussian              adds N(0, 1) to mu times each coin, mu such that it is (eps, delta)             (2)

A bound that exceeds the epsilon of its mechanism is an error; at most one in twenty may be, at 95%.

Axes: m canaries, R runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize, special

from jaxaudit import stats
from jaxaudit.results import EpsilonStudyResults, MechanismBounds
from jaxaudit.stats.inputs import check_enough
from jaxaudit.stats.one_run import FEWEST_CANARIES

_Run = tuple[Float[np.ndarray, " m"], Bool[np.ndarray, " m"]]


@dataclasses.dataclass(frozen=True)
class EpsilonStudyConfig:
    """What is simulated.

    Attributes:
      epsilons: of the mechanisms. sizes: canaries of a run.
      runs: of every setting.
      delta: of the Gaussian mechanism.
      confidence: of the bounds.
      seed: of the runs.
    """

    epsilons: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    sizes: tuple[int, ...] = (100, 500, 2000)
    runs: int = 400
    delta: float = 1e-5
    confidence: float = 0.95
    seed: int = 0


def study_epsilon(
    config: EpsilonStudyConfig = EpsilonStudyConfig(), *, progress: Callable[[str], None] = lambda what: None
) -> EpsilonStudyResults:
    """Bounds on many runs of (1), with epsilon 0 as well, and of (2).

    Args:
      config: see `EpsilonStudyConfig`.
      progress: hears of every setting before it is run.

    Raises:
      InputError: if a run has too few canaries.
    """
    for size in config.sizes:
        check_enough(size, FEWEST_CANARIES, "canaries")
    settings = [(_RESPONSE, 0.0), *((name, epsilon) for name in MECHANISMS for epsilon in config.epsilons)]
    return EpsilonStudyResults(
        delta=config.delta,
        confidence=config.confidence,
        seed=config.seed,
        mechanisms=tuple(
            _bounds(name, epsilon, size, config, progress)
            for name, epsilon in settings
            for size in config.sizes
        ),
    )


def randomised_response(epsilon: float, m: int, delta: float, generator: np.random.Generator) -> _Run:
    """Scores and coins of a run of (1); `delta` does not matter."""
    del delta
    included = generator.random(m) < 0.5
    truly = generator.random(m) < special.expit(epsilon)
    return np.where(truly, included, ~included) + 1e-3 * generator.random(m), included


def gaussian(epsilon: float, m: int, delta: float, generator: np.random.Generator) -> _Run:
    """Scores and coins of a run of (2)."""
    included = generator.random(m) < 0.5
    return gaussian_mu(epsilon, delta) * included + generator.standard_normal(m), included


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The mu with which (2) is (epsilon, delta)-private."""

    def excess(mu: float) -> float:
        return stats.gaussian_epsilon(mu, delta=delta) - epsilon

    return float(optimize.root_scalar(excess, bracket=(1e-3, 100.0), xtol=1e-10).root)


_RESPONSE, _GAUSSIAN = "randomised response", "Gaussian"
MECHANISMS: dict[str, Callable[[float, int, float, np.random.Generator], _Run]] = {
    _RESPONSE: randomised_response,
    _GAUSSIAN: gaussian,
}
"""(epsilon, m, delta, generator) -> scores and coins of a run, by the name of the mechanism."""


def _bounds(
    name: str, epsilon: float, size: int, config: EpsilonStudyConfig, progress: Callable[[str], None]
) -> MechanismBounds:
    progress(f"{name}, epsilon {epsilon:g}, {size} canaries")
    mechanism, delta = MECHANISMS[name], config.delta if name == _GAUSSIAN else 0.0
    generator = np.random.default_rng((config.seed, size, round(1000 * epsilon), len(name)))
    bounds = np.array(
        [
            stats.one_run_epsilon(
                *mechanism(epsilon, size, delta, generator),
                delta=delta,
                confidence=config.confidence,
                seed=run,
            ).epsilon
            for run in range(config.runs)
        ]
    )
    above = int((bounds > epsilon + 1e-9).sum())
    low, high = np.quantile(bounds, [0.05, 0.95]).tolist()
    return MechanismBounds(
        mechanism=name,
        epsilon=epsilon,
        num_canaries=size,
        above=stats.clopper_pearson(above, config.runs),
        mean=float(bounds.mean()),
        low=low,
        high=high,
        runs=config.runs,
    )
