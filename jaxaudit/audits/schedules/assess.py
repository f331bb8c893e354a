"""From errors on disk to results: no model is needed.

Axes: N pictures, S steps of a schedule, F features of all steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.attacks import low_rank
from jaxaudit.attacks.schedule_attack import LOW_RANK
from jaxaudit.attacks.schedules import BASELINE, ERRORS, GENERATION, SIXTEEN
from jaxaudit.audits.schedules.walk import Walked, Walks
from jaxaudit.evidence import SPLITS
from jaxaudit.results import (
    ClassifierLeakage,
    LowRankLeakage,
    ScheduleResults,
    WalkedSchedule,
)
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.nested import FEWEST as FEWEST_OF_CLASSIFIER
from jaxaudit.stats.nested import Candidates, nested_cross_validation

GREY_BOX, BLACK_BOX = "grey box", "black box"
_BESIDE = {
    f"{BASELINE}/model": f"{BASELINE}/model",
    f"{GENERATION}/latent": f"{GREY_BOX}/latent",
    f"{GENERATION}/pixel": f"{BLACK_BOX}/pixel",
}
"""{column: as what it stands beside the sixteen}; of a generation the last step counts."""
FPR, CONFIDENCE = 0.01, 0.95


def assess_walks(
    walked: Walked, *, candidates: Candidates | None = None, progress: Progress = silent
) -> ScheduleResults:
    """What the walks give away.

    Args:
      walked: by `walk_pictures`.
      candidates: classifiers to choose from; default the published ones.
      progress: hears what is done.
    """
    target, config = walked.attack.target, walked.config
    members, nonmembers = (walked.walks[side] for side in SPLITS)
    counts = {side: len(walked.walks[side].labels) for side in SPLITS}
    cut = stats.halves(*counts.values(), seed=config.seed)
    rules = {"fpr": FPR, "confidence": CONFIDENCE, "seed": config.seed}
    sixteen = [{name: side.columns[name] for name in _of_sixteen(side)} for side in (members, nonmembers)]
    beside = [
        {shown: side.columns[name][:, -1:] for name, shown in _BESIDE.items() if name in side.columns}
        for side in (members, nonmembers)
    ]
    progress(0, 0, "Measuring on the other half")
    walks = stats.walk_leakage(sixteen[0], sixteen[1], cut, **rules)
    best = stats.best_walk(walks, sixteen[0], sixteen[1], cut, fpr=FPR)
    p_labels, u_labels = (members.labels, nonmembers.labels) if target.num_classes else (None, None)
    gate = stats.blind_gate(
        members.blind, nonmembers.blind, p_labels=p_labels, u_labels=u_labels, seed=config.seed
    )
    others = stats.walk_leakage(beside[0], beside[1], cut, **rules)
    loss = next(each.leakage for each in others if each.name == BASELINE)
    progress(0, 0, "Choosing a classifier, nested")
    return ScheduleResults(
        target=target.name,
        family=target.family,
        fingerprint=target.provenance.get("fingerprint"),
        sources={side: source.spec for side, source in walked.sources.items()},
        skipped={side: source.skipped for side, source in walked.sources.items()},
        num_images=counts,
        num_tested={side: len(half.test) for side, half in zip(SPLITS, cut, strict=True)},
        noises=config.num_noises,
        fpr=FPR,
        confidence=CONFIDENCE,
        seed=config.seed,
        schedules=tuple(
            WalkedSchedule(
                name=name,
                times=schedule.times,
                noised=schedule.noised,
                guidance=schedule.guidance,
                fresh=schedule.fresh,
                text_noise=schedule.text_noise,
                jolt=schedule.jolt,
                passes=schedule.passes,
            )
            for name, schedule in walked.attack.schedules.items()
        ),
        omitted=walked.attack.omitted,
        walks=(*walks, *others),
        best=best,
        classifier=_classifier(sixteen, candidates, config.seed),
        low_rank=_low_rank(members, nonmembers, cut, rules),
        gate=gate,
        told=stats.told_apart(best.leakage, loss, gate),
    )


def _of_sixteen(walks: Walks) -> list[str]:
    """The columns of the sixteen, in the order of the table."""
    names = [f"{schedule}/{error}" for schedule in SIXTEEN for error in ERRORS]
    return [name for name in names if name in walks.columns]


def _classifier(
    sixteen: list[dict[str, np.ndarray]], candidates: Candidates | None, seed: int
) -> ClassifierLeakage | None:
    """Over all features [N,F] of the sixteen, of members and of nonmembers."""
    x, y = (np.concatenate(list(side.values()), axis=1).astype(np.float64) for side in sixteen)
    if min(len(x), len(y)) < FEWEST_OF_CLASSIFIER:
        return None
    found = nested_cross_validation(x, y, candidates=candidates, seed=seed)
    flattered = found.unnested_members, found.unnested_nonmembers
    return ClassifierLeakage(
        leakage=stats.leakage(found.members, found.nonmembers, fpr=FPR, confidence=CONFIDENCE, seed=seed),
        chosen=found.chosen,
        unnested=found.unnested,
        unnested_auc=stats.auc(*flattered),
        unnested_tpr=stats.tpr_at_fpr(*flattered, fpr=FPR),
        num_features=x.shape[1],
    )


def _low_rank(
    members: Walks, nonmembers: Walks, cut: tuple[stats.Halves, stats.Halves], rules: dict[str, Any]
) -> LowRankLeakage | None:
    """Of the likelihood ratio that is fitted on the halves where something may be chosen."""
    if LOW_RANK not in members.columns:
        return None
    x, y = (side.columns[LOW_RANK][:, 0].astype(np.float64) for side in (members, nonmembers))
    known = x[cut[0].ctrl], y[cut[1].ctrl]
    found = stats.leakage(
        stats.likelihood_ratio(*known, x[cut[0].test]),
        stats.likelihood_ratio(*known, y[cut[1].test]),
        **rules,
    )
    return LowRankLeakage(leakage=found, rank=low_rank.RANK, learning_rate=low_rank.LEARNING_RATE)
