"""What bfloat16 changes: every score and the verdict of a target, on the same pictures as in float32.

Evidence is collected in both precisions with the same ids, hence the same random draws. The differences of
AUC and TPR at 1% FPR come with paired intervals (`jaxaudit.stats.paired_differences`), of pictures that hang
together one counts; verdicts are judged with one seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.independent import read_one_of_each
from jaxaudit.data import Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence
from jaxaudit.paths import Location, as_place
from jaxaudit.results import JudgedPrecision, PrecisionChange, PrecisionStudy, TargetPrecision
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

PRECISIONS = ("float32", "bfloat16")
FPR = 0.01


@dataclasses.dataclass(frozen=True)
class PrecisionConfig:
    """How the two are compared.

    Attributes:
      collect: how evidence is collected.
      seed: of draws and verdicts.
      bound: changes of an AUC up to this do not matter, even where they are certain.
      repetitions: draws of the bootstrap.
    """

    collect: CollectConfig = dataclasses.field(default_factory=lambda: CollectConfig(scores=("all",)))
    seed: int = 0
    bound: float = 0.005
    repetitions: int = 1000


def study_precision(
    targets: Sequence[tuple[Target, Target]],
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: PrecisionConfig = PrecisionConfig(),
    *,
    progress: Progress = silent,
) -> PrecisionStudy:
    """Measures every target in both precisions.

    Args:
      targets: each in float32 and in bfloat16.
      members, nonmembers: pictures they were, and were not, trained on.
      directory: keeps the evidence, so that a killed run goes on.
      config: see `PrecisionConfig`.
      progress: hears of images.

    Raises:
      InputError: if two targets have one name, or as `collect_evidence` and `assess`.
    """
    names = [Path(pair[0].name).name for pair in targets]
    if len(set(names)) < len(names):
        raise InputError(f"Of {', '.join(names)} two have one name; name each target once.")
    found = []
    for name, pair in zip(names, targets, strict=True):
        measured = {
            precision: collect_evidence(
                target,
                members,
                nonmembers,
                as_place(directory) / f"{name}-{precision}",
                config.collect,
                progress=progress,
            )
            for precision, target in zip(PRECISIONS, pair, strict=True)
        }
        progress(0, 0, f"Comparing the precisions of {pair[0].name}")
        found.append(_compare(pair[0].name, measured, config))
    return PrecisionStudy(
        platform=jax.local_devices()[0].device_kind,
        bound=config.bound,
        repetitions=config.repetitions,
        targets=tuple(found),
    )


def _compare(name: str, measured: dict[str, Evidence], config: PrecisionConfig) -> TargetPrecision:
    tables = [read_one_of_each(each) for each in measured.values()]
    (members, nonmembers), _ = tables
    return TargetPrecision(
        target=name,
        num_members=len(members),
        num_nonmembers=len(nonmembers),
        scores={
            score: _change([(p.scores[score], u.scores[score]) for p, u in tables], config)
            for score in members.scores
        },
        verdicts={precision: _judge(each, config.seed) for precision, each in measured.items()},
    )


def _change(pairs: Sequence[stats.ScorePair], config: PrecisionConfig) -> PrecisionChange:
    first, second = pairs
    auc_change, tpr_change = stats.paired_differences(
        first, second, fpr=FPR, repetitions=config.repetitions, seed=config.seed
    )
    certain = auc_change.low > 0 or auc_change.high < 0
    return PrecisionChange(
        auc=stats.auc(*first),
        tpr=stats.tpr_at_fpr(*first, fpr=FPR),
        auc_change=auc_change,
        tpr_change=tpr_change,
        suffers=certain and abs(auc_change.estimate) > config.bound,
    )


def _judge(evidence: Evidence, seed: int) -> JudgedPrecision:
    results = assess(evidence, AssessConfig(seed=seed))
    return JudgedPrecision(results.finding.status, results.test.p_value if results.test else None)
