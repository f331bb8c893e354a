"""The whole study: false accusations and members found, power on simulated scores, UnitMem's control."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxaudit import stats
from jaxaudit.attacks.registry import INFERENCE, MAIN_VIEW
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.independent import independent_sources
from jaxaudit.audits.reliability.alternatives import ALTERNATIVES, PERMUTATIONS, REFITS, alternative_power
from jaxaudit.audits.reliability.scenarios import SCENARIOS, Scenario
from jaxaudit.audits.reliability.unit_control import study_unit_control
from jaxaudit.audits.reliability.unseen import Rows, ScoredPictures, score_pictures
from jaxaudit.audits.reliability.usage import study_usage
from jaxaudit.audits.reliability.verdicts import OneView, trained_on, verdict_rates
from jaxaudit.data import Source
from jaxaudit.paths import Location, as_place
from jaxaudit.results import ReliabilityResults, TargetReliability, VerdictRates
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.welch import check_permutations
from jaxaudit.targets import Target

STUDIES = ("verdicts", "alternatives", "unit_control", "usage")
_OF_PICTURES = ("verdicts", "unit_control", "usage")


@dataclasses.dataclass(frozen=True)
class ReliabilityConfig:
    """What is measured.

    Attributes:
      studies: of `STUDIES`.
      scenarios: names of `SCENARIOS`.
      sizes: n of every scenario; none for its own.
      found: n with which members are to be found.
      alpha: significance level. repetitions: draws of every setting. permutations: relabellings of a test.
      seed: of the draws.
      collect: how scores are measured.

    Raises:
      InputError: if alpha is below what the relabellings of a study can show.
    """

    studies: tuple[str, ...] = STUDIES
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    sizes: tuple[int, ...] = ()
    found: tuple[int, ...] = (30, 50, 100, 200, 300)
    alpha: float = 0.01
    repetitions: int = 200
    permutations: int = 999
    seed: int = 0
    collect: CollectConfig = dataclasses.field(default_factory=CollectConfig)

    def __post_init__(self):
        for study, permutations in {"verdicts": PERMUTATIONS, "alternatives": REFITS}.items():
            if study in self.studies:
                check_permutations(self.alpha, min(permutations, self.permutations))

    @property
    def accused(self) -> list[tuple[Scenario, tuple[int, ...]]]:
        """The scenarios in which nobody should be, with n."""
        chosen = [SCENARIOS[name] for name in self.scenarios]
        return [(scenario, self.sizes or scenario.sizes) for scenario in chosen]

    @property
    def members(self) -> tuple[Scenario, tuple[int, ...]]:
        """The scenario in which members are to be found, with n."""
        return trained_on(self.found), self.found

    @property
    def drawn(self) -> dict[str, Any]:
        """What all studies of draws take."""
        return {name: getattr(self, name) for name in ("alpha", "repetitions", "permutations", "seed")}


def study_reliability(
    targets: Sequence[Target],
    members: Source,
    unseen: Source,
    directory: Location,
    config: ReliabilityConfig = ReliabilityConfig(),
    *,
    progress: Progress = silent,
) -> ReliabilityResults:
    """Scores the pictures with every target and counts verdicts.

    Args:
      targets: models of classes.
      members, unseen: pictures all of them were, and were not, trained on; of those that hang together the
        first is one to draw, and an altered copy of the other side's is none.
      directory: keeps the evidence, a folder per target.
      config: what is measured.
      progress: hears of pictures and draws.

    Raises:
      InputError: as `independent_sources`, `score_pictures`, `study_unit_control` and `study_usage`, or if
        sizes do not fit the pictures.
    """
    if "verdicts" in config.studies:
        for scenario, sizes in (*config.accused, config.members):
            for n in sizes:
                scenario.check(n, len(members), len(unseen))
    found, controls, powers, usage = [], [], [], []
    if targets and set(config.studies) & set(_OF_PICTURES):
        members, unseen = independent_sources(members, unseen, targets[0].preprocessing, progress)
    for target in targets if "verdicts" in config.studies else ():
        folder = as_place(directory) / Path(target.name).name
        pictures = score_pictures(target, members, unseen, folder, config.collect, progress=progress)
        found.append(_verdicts(target, pictures, config, progress))
    for alternative in ALTERNATIVES if "alternatives" in config.studies else ():
        powers.append(alternative_power(alternative, **config.drawn, progress=progress))
    for target in targets if "unit_control" in config.studies else ():
        options = {"num_splits": config.repetitions, "alpha": config.alpha, "seed": config.seed}
        controls.append(study_unit_control(target, members, unseen, **options, progress=progress))
    for target in targets if "usage" in config.studies else ():
        folder = as_place(directory) / Path(target.name).name
        usage.append(
            study_usage(
                target,
                members,
                unseen,
                folder,
                config.collect,
                repetitions=config.repetitions,
                seed=config.seed,
                progress=progress,
            )
        )
    return ReliabilityResults(
        alpha=config.alpha,
        permutations=config.permutations,
        seed=config.seed,
        targets=tuple(found),
        alternatives=tuple(powers),
        unit_controls=tuple(controls),
        usage=tuple(usage),
    )


def _verdicts(
    target: Target, pictures: ScoredPictures, config: ReliabilityConfig, progress: Progress
) -> TargetReliability:
    one_view = _one_view(target, pictures, config.alpha)

    def rates(scenario: Scenario, sizes: tuple[int, ...]) -> tuple[VerdictRates, ...]:
        return tuple(
            verdict_rates(pictures, scenario, n, one_view, **config.drawn, progress=progress) for n in sizes
        )

    return TargetReliability(
        target=pictures.target,
        num_scores=len(pictures.names),
        accused=tuple(each for accused in config.accused for each in rates(*accused)),
        found=rates(*config.members),
    )


def _one_view(target: Target, pictures: ScoredPictures, alpha: float) -> OneView:
    """The test of the main view that stood alone before: the sum of its scores, or CDI on a split."""
    main = MAIN_VIEW[target.kind]
    columns = [j for j, name in enumerate(pictures.names) if name.rpartition("/")[0] == main]

    def summed(p: Rows, u: Rows, seed: int) -> bool:
        test = stats.dataset_inference(
            p.scores[:, columns], u.scores[:, columns], alpha=alpha, permutations=PERMUTATIONS, seed=seed
        )
        return test.rejected

    def learned(p: Rows, u: Rows, seed: int) -> bool:
        test = stats.identify(
            p.scores[:, columns], u.scores[:, columns], alpha=alpha, permutations=PERMUTATIONS, seed=seed
        )
        return test.rejected

    return {"sum": summed, "cdi": learned}[INFERENCE[target.kind]]
