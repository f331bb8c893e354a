"""How much the errors of a walk through a diffusion model give away, the best step being chosen elsewhere.

Both sides are cut into halves. On the one, ctrl, the best step of every error of every schedule is chosen
(TPR at the allowed FPR, then AUC), and of these the best one; on the other they are measured, so that
choosing among hundreds of numbers flatters none of them. Members are told apart if the lower limit of the AUC
of the *one* chosen walk is above 1/2: one test, at half of 1 - confidence, however many schedules were
walked. Not all walks have a direction of their own: where the network is told more noise than there is, the
pictures it was trained on may have the *larger* errors, and sides that were swapped are told apart as well.
So where the plain loss is lower, beyond its interval, on the nonmembers, the finding is called contradicted.

Beside it stands the published number: mean and standard deviation of the TPR over 100 random subsets. That is
no interval. Subsets of one set overlap, and their spread shrinks with the size of a subset, not with what is
known.

Source of the latter: Dubiński et al., WACV 2024 (arXiv 2306.12983), §5.

Axes: n members, m nonmembers, S steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.results import Gate, Leakage, MeanStd, Told, WalkLeakage
from jaxaudit.stats.inputs import check_enough
from jaxaudit.stats.intervals import CONFIDENCE, auc_interval
from jaxaudit.stats.roc import auc, strength, tpr_at_fpr
from jaxaudit.stats.tpr_interval import tpr_at_fpr_interval

FEWEST = 8
"""Pictures of a side: four to choose on, four to measure on."""
_SUBSETS, _SUBSET = 100, 500

Columns = Mapping[str, Float[np.ndarray, "_ _"]]
"""{"7/latent": [n,S] minus the errors}."""


@dataclasses.dataclass(frozen=True, eq=False)
class Halves:
    """Rows of a side: those something is chosen or fitted on, and those it is measured on."""

    ctrl: Int[np.ndarray, " _"]
    test: Int[np.ndarray, " _"]


def halves(num_members: int, num_nonmembers: int, *, seed: int = 0) -> tuple[Halves, Halves]:
    """Random halves of members and of nonmembers; test has the odd one.

    Raises:
      InputError: if there are fewer than `FEWEST` of either.
    """
    rng = np.random.default_rng(seed)
    cut = []
    for count, side in ((num_members, "members"), (num_nonmembers, "nonmembers")):
        check_enough(count, FEWEST, f"{side}, half of them to choose on,")
        order = rng.permutation(count)
        cut.append(Halves(np.sort(order[: count // 2]), np.sort(order[count // 2 :])))
    return cut[0], cut[1]


def walk_leakage(
    members: Columns,
    nonmembers: Columns,
    cut: tuple[Halves, Halves],
    *,
    fpr: float = 0.01,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[WalkLeakage, ...]:
    """What every error of every schedule gives away, at the step that is best on ctrl, measured on test.

    Args:
      members: {"SCHEDULE/ERROR": [n,S]}, higher = more likely a member.
      nonmembers: the same names, [m,S].
      cut: of `halves`.
      fpr: allowed false-positive rate.
      confidence: of the intervals.
      seed: of the published subsets.

    Raises:
      InputError: if a value is NaN or infinite.
    """
    found = []
    for column, x in members.items():
        name, error = column.split("/")
        x, y = np.asarray(x, np.float64), np.asarray(nonmembers[column], np.float64)
        step = max(range(x.shape[1]), key=lambda s, x=x, y=y: _strength(x, y, cut, s, fpr))
        x, y = x[cut[0].test], y[cut[1].test]
        found.append(
            WalkLeakage(
                name=name,
                error=error,
                step=step,
                leakage=leakage(x[:, step], y[:, step], fpr=fpr, confidence=confidence, seed=seed),
                auc_by_step=tuple(auc(x[:, s], y[:, s]) for s in range(x.shape[1])),
            )
        )
    return tuple(found)


def best_walk(
    found: tuple[WalkLeakage, ...],
    members: Columns,
    nonmembers: Columns,
    cut: tuple[Halves, Halves],
    *,
    fpr: float = 0.01,
) -> WalkLeakage:
    """The one of `walk_leakage` that is best on ctrl, among these; arguments as there."""

    def chosen_by(walk: WalkLeakage) -> tuple[float, float]:
        column = f"{walk.name}/{walk.error}"
        return _strength(members[column], nonmembers[column], cut, walk.step, fpr)

    return max(found, key=chosen_by)


def leakage(
    members: Float[np.ndarray, " n"],
    nonmembers: Float[np.ndarray, " m"],
    *,
    fpr: float = 0.01,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Leakage:
    """TPR and AUC of a score with their intervals, and the TPR as published.

    Raises:
      InputError: if a score is NaN or infinite, or a side holds fewer than 2.
    """
    return Leakage(
        tpr=tpr_at_fpr_interval(members, nonmembers, fpr=fpr, confidence=confidence),
        auc=auc_interval(members, nonmembers, confidence=confidence),
        published=published_tpr(members, nonmembers, fpr=fpr, seed=seed),
    )


def published_tpr(
    members: Float[np.ndarray, " n"], nonmembers: Float[np.ndarray, " m"], *, fpr: float = 0.01, seed: int = 0
) -> MeanStd:
    """Mean and standard deviation over 100 random subsets of 500 of each side, or of half the smaller one."""
    rng, size = np.random.default_rng(seed), max(1, min(len(members) // 2, len(nonmembers) // 2, _SUBSET))
    rates = [
        tpr_at_fpr(rng.permutation(members)[:size], rng.permutation(nonmembers)[:size], fpr=fpr)
        for _ in range(_SUBSETS)
    ]
    return MeanStd(mean=float(np.mean(rates)), std=float(np.std(rates, ddof=1)))


def told_apart(best: Leakage, loss: Leakage, gate: Gate) -> Told:
    """What follows from the chosen walk.

    Args:
      best: of the chosen walk.
      loss: of the plain loss at one timestep, whose direction training fixes.
      gate: whether the pictures differ without the model.
    """
    if not gate.passed:
        return "not_testable"
    if best.auc.low <= 0.5:
        return "not_told_apart"
    return "contradicted" if loss.auc.high < 0.5 else "told_apart"


def _strength(
    members: Float[np.ndarray, "n S"],
    nonmembers: Float[np.ndarray, "m S"],
    cut: tuple[Halves, Halves],
    step: int,
    fpr: float,
) -> tuple[float, float]:
    """TPR and AUC of a step on ctrl."""
    x, y = members[cut[0].ctrl, step], nonmembers[cut[1].ctrl, step]
    return strength(x, y, fpr=fpr)
