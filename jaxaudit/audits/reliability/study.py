"""The whole study: every target, scenario and size, and what is found of members."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from jaxaudit import stats
from jaxaudit.attacks.registry import INFERENCE, MAIN_VIEW
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.reliability.scenarios import SCENARIOS
from jaxaudit.audits.reliability.unseen import Rows, ScoredPictures, score_pictures
from jaxaudit.audits.reliability.verdicts import OneView, trained_on, verdict_rates
from jaxaudit.data import Source
from jaxaudit.results import ReliabilityResults, TargetReliability, VerdictRates
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True)
class ReliabilityConfig:
    """What is measured.

    Attributes:
      scenarios: names of `SCENARIOS`.
      sizes: n of every scenario; none for its own.
      found: n with which members are to be found.
      alpha: significance level. repetitions: draws of every setting. permutations: relabellings of a test.
      seed: of the draws.
      collect: how scores are measured.
    """

    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    sizes: tuple[int, ...] = ()
    found: tuple[int, ...] = (30, 50, 100, 200, 300)
    alpha: float = 0.01
    repetitions: int = 200
    permutations: int = 999
    seed: int = 0
    collect: CollectConfig = dataclasses.field(default_factory=CollectConfig)


def study_reliability(
    targets: Sequence[Target],
    members: Source,
    unseen: Source,
    directory: str | os.PathLike,
    config: ReliabilityConfig = ReliabilityConfig(),
    *,
    progress: Progress = silent,
) -> ReliabilityResults:
    """Scores the pictures with every target and counts verdicts.

    Args:
      targets: models of classes.
      members, unseen: pictures all of them were, and were not, trained on.
      directory: keeps the evidence, a folder per target.
      config: what is measured.
      progress: hears of pictures and draws.

    Raises:
      InputError: as `score_pictures`, or if sizes do not fit the pictures.
    """
    found = []
    for target in targets:
        folder = Path(directory) / Path(target.name).name
        pictures = score_pictures(target, members, unseen, folder, config.collect, progress=progress)
        found.append(_study(target, pictures, config, progress))
    return ReliabilityResults(
        alpha=config.alpha, permutations=config.permutations, seed=config.seed, targets=tuple(found)
    )


def _study(
    target: Target, pictures: ScoredPictures, config: ReliabilityConfig, progress: Progress
) -> TargetReliability:
    one_view = _one_view(target, pictures, config.alpha)

    def rates(scenario, sizes: tuple[int, ...]) -> list[VerdictRates]:
        return [
            verdict_rates(
                pictures,
                scenario,
                n,
                one_view,
                alpha=config.alpha,
                repetitions=config.repetitions,
                permutations=config.permutations,
                seed=config.seed,
                progress=progress,
            )
            for n in sizes
        ]

    accused = [
        each
        for name in config.scenarios
        for each in rates(SCENARIOS[name], config.sizes or SCENARIOS[name].sizes)
    ]
    return TargetReliability(
        target=pictures.target,
        num_scores=len(pictures.names),
        accused=tuple(accused),
        found=tuple(rates(trained_on(config.found), config.found)),
    )


def _one_view(target: Target, pictures: ScoredPictures, alpha: float) -> OneView:
    """The test of the main view that stood alone before: the sum of its scores, or CDI on a split."""
    main = MAIN_VIEW[target.kind]
    columns = [j for j, name in enumerate(pictures.names) if name.rpartition("/")[0] == main]

    def summed(p: Rows, u: Rows, seed: int) -> bool:
        test = stats.dataset_inference(
            p.scores[:, columns], u.scores[:, columns], alpha=alpha, permutations=999, seed=seed
        )
        return test.rejected

    def learned(p: Rows, u: Rows, seed: int) -> bool:
        sides = (dict(enumerate(side.scores[:, columns].T)) for side in (p, u))
        named = ({str(name): values for name, values in side.items()} for side in sides)
        return stats.identify(*named, alpha=alpha, permutations=999, seed=seed).rejected

    return {"sum": summed, "cdi": learned}[INFERENCE[target.kind]]
