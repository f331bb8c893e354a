"""What walks give away, made up: for the tests of records and reports."""

import numpy as np

from jaxaudit.attacks.schedules import ERRORS, SCHEDULES
from jaxaudit.results import (
    ClassifierLeakage,
    Gate,
    Interval,
    Leakage,
    LowRankLeakage,
    MeanStd,
    ScheduleResults,
    Told,
    WalkedSchedule,
    WalkLeakage,
    replace,
)


def make_schedules(names=("1", "4", "12", "13"), told: Told = "told_apart", **changes) -> ScheduleResults:
    """Results of some schedules; `changes` are of their fields."""
    random = np.random.default_rng(0)

    def leakage() -> Leakage:
        tpr, auc = random.uniform(0.02, 0.2), random.uniform(0.5, 0.7)
        return Leakage(
            Interval(tpr, tpr / 3, 2 * tpr), Interval(auc, auc - 0.06, auc + 0.06), MeanStd(tpr, 0.02)
        )

    def walk(name: str, error: str, steps: int) -> WalkLeakage:
        return WalkLeakage(name, error, steps - 1, leakage(), (0.6,) * steps)

    walks = [walk(name, error, len(SCHEDULES[name].times)) for name in names for error in ERRORS]
    beside = [
        walk(*known, 1) for known in (("baseline", "model"), ("grey box", "latent"), ("black box", "pixel"))
    ]
    results = ScheduleResults(
        target="one",
        family="sd",
        fingerprint=None,
        sources={"members": "folder:a", "nonmembers": "folder:b"},
        skipped={"members": {}, "nonmembers": {"u": "[/b] broken"}},
        num_images={"members": 20, "nonmembers": 31},
        num_tested={"members": 10, "nonmembers": 16},
        noises=5,
        fpr=0.01,
        confidence=0.95,
        seed=0,
        schedules=tuple(_walked(name) for name in (*names, "baseline", "generation")),
        omitted={"5": "one is told one of 10 classes"},
        walks=(*walks, *beside),
        best=walks[-1],
        classifier=ClassifierLeakage(leakage(), ("network",) * 5, "tree depth=2 split=2", 0.71, 0.3, 747),
        low_rank=LowRankLeakage(leakage(), 4, 1e-4),
        gate=Gate(True, 0.4, {"features": 0.4}, Interval(0.5, 0.4, 0.6), 0.1, 0.5, 20, 31, 8, 999, 0),
        told=told,
    )
    return replace(results, **changes)


def _walked(name: str) -> WalkedSchedule:
    schedule = SCHEDULES[name]
    return WalkedSchedule(
        name=name,
        times=schedule.times,
        noised=schedule.noised,
        guidance=schedule.guidance,
        fresh=schedule.fresh,
        text_noise=schedule.text_noise,
        jolt=schedule.jolt,
        passes=schedule.passes,
    )
