"""Membership inference: how well each score tells members from nonmembers, one sample at a time.

A protocol with `held_out_choice` (`DEFAULT`): a seeded split sets a third of both sides aside. On this third
the best score is chosen (TPR at 1% FPR, then AUC) and thresholds are set; every number reported is measured
on the rest, so choosing among many scores does not flatter the winner. Intervals hold for one score, not for
all at once. Samples are taken for independent: of copies of a picture one belongs here.

Without (`PUBLISHED`): the published procedure. The best score is chosen on the evaluation data itself;
metrics are those of `jaxaudit.stats.published`, mean ± standard deviation over 250 random subsets of half the
samples (at most 5,000). That spread is over subsets of one data set and no confidence interval.
Source: Kowalczuk et al., ICML 2025, arXiv 2502.02514.

Axes: n members, m nonmembers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Real

from jaxaudit.errors import InputError, unknown_name
from jaxaudit.protocols import DEFAULT, Protocol, get_protocol
from jaxaudit.results import MembershipInference, OmittedFpr, replace
from jaxaudit.stats.inputs import check_enough, check_finite, check_not_constant
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.stats.metrics import published_score_metrics, score_metrics
from jaxaudit.stats.roc import best_threshold, roc_curve, strength

SELECTION_FPR = 0.01
_PAPER_SUBSETS = 250
_PAPER_SUBSET_SIZE = 5_000

Scores = Mapping[str, Real[np.ndarray, " _"]]
"""{name: [n]}."""


def membership_inference(
    members: Scores,
    nonmembers: Scores,
    *,
    protocol: Protocol | str = DEFAULT,
    groups: Mapping[str, Sequence[str]] | None = None,
    fprs: Sequence[float] = (0.01, 0.001),
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> MembershipInference:
    """Measures every score and selects the best one, overall and within each group.

    Args:
      members: {score: [n]}, higher = more likely a member; the same samples in the same order in each.
      nonmembers: {score: [m]}, the same scores.
      protocol: the rules, or their name (see the module).
      groups: {group: names of its scores}, e.g. a baseline and a tailored attack, or the k of one attack.
      fprs: false-positive rates to report the TPR at; one that allows no false positive is omitted, with why.
      confidence: of the intervals.
      seed: of the split or of the subsets.

    Raises:
      InputError: if a score is missing on one side, NaN, infinite or constant (named, with the first samples;
        a lenient protocol: NaN becomes 0 and a constant stays, as published), if samples do not align or are
        too few, or if a group names an unknown score.
    """
    protocol = get_protocol(protocol)
    members, nonmembers = _aligned(members, "members"), _aligned(nonmembers, "nonmembers")
    if missing := members.keys() ^ nonmembers.keys():
        raise InputError(f"Score {min(missing)!r} is there for only one of members and nonmembers.")
    for group, names in (groups or {}).items():
        if not names:
            raise InputError(f"Group {group!r} holds no score.")
        for name in names:
            if name not in members:
                raise unknown_name("score", name, members)
    measure = _held_out if protocol.held_out_choice else _on_subsets
    return measure(members, nonmembers, protocol, groups or {}, tuple(fprs), confidence, seed)


def selection_split(
    num_members: int, num_nonmembers: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Of members and of nonmembers: the indexes set aside to select on, a third, and those reported on.

    Raises:
      InputError: if there are fewer than 4 of either.
    """
    rng = np.random.default_rng(seed)
    return _split(num_members, "members", rng), _split(num_nonmembers, "nonmembers", rng)


def _held_out(
    members: Scores,
    nonmembers: Scores,
    protocol: Protocol,
    groups: Mapping[str, Sequence[str]],
    fprs: tuple[float, ...],
    confidence: float,
    seed: int,
) -> MembershipInference:
    for name in members:
        check_finite(members[name], f"members' values of score {name!r}")
        check_finite(nonmembers[name], f"nonmembers' values of score {name!r}")
        check_not_constant(np.concatenate([members[name], nonmembers[name]]), name)
    split = selection_split(_count(members), _count(nonmembers), seed)
    (choose_members, report_members), (choose_nonmembers, report_nonmembers) = split

    def chosen_by(name: str) -> tuple[float, float]:
        x, y = members[name][choose_members], nonmembers[name][choose_nonmembers]
        return strength(x, y, fpr=SELECTION_FPR)

    reported, omitted = _reportable(fprs, report_nonmembers.size)
    per_score = {}
    for name in members:
        x, y = members[name][report_members], nonmembers[name][report_nonmembers]
        threshold = best_threshold(members[name][choose_members], nonmembers[name][choose_nonmembers])
        per_score[name] = score_metrics(x, y, threshold=threshold, fprs=reported, confidence=confidence)
    selected, best_of = _select(chosen_by, members, groups)
    return MembershipInference(
        protocol=protocol.name,
        selected=selected,
        groups=best_of,
        per_score=per_score,
        curves={
            name: roc_curve(members[name][report_members], nonmembers[name][report_nonmembers])
            for name in dict.fromkeys([selected, *best_of.values()])
        },
        omitted_fprs=omitted,
        num_members=report_members.size,
        num_nonmembers=report_nonmembers.size,
        num_selection_members=choose_members.size,
        num_selection_nonmembers=choose_nonmembers.size,
        confidence=confidence,
        seed=seed,
        notes=(),
    )


def _on_subsets(
    members: Scores,
    nonmembers: Scores,
    protocol: Protocol,
    groups: Mapping[str, Sequence[str]],
    fprs: tuple[float, ...],
    confidence: float,
    seed: int,
) -> MembershipInference:
    del confidence  # the published procedure has no intervals
    n = _count(members)
    if n != _count(nonmembers):
        raise InputError(
            f"The published procedure needs as many members as nonmembers; got {n} and {_count(nonmembers)}."
        )
    size = min(n // 2, _PAPER_SUBSET_SIZE)
    check_enough(size, 2, "samples in each half")
    members, changed_members = _nan_to_zero(members)
    nonmembers, changed_nonmembers = _nan_to_zero(nonmembers)
    changed = {name: changed_members[name] + changed_nonmembers[name] for name in members}
    for name in members:
        check_finite(np.concatenate([members[name], nonmembers[name]]), f"pooled values of score {name!r}")
    reported, omitted = _reportable(fprs, size)
    read_at = tuple(dict.fromkeys([SELECTION_FPR, *reported]))

    rng = np.random.default_rng(seed)
    subsets = [rng.permutation(n)[:size] for _ in range(_PAPER_SUBSETS)]
    tpr_selected, per_score = {}, {}
    for name in members:
        found = published_score_metrics(members[name], nonmembers[name], subsets=subsets, fprs=read_at)
        tpr_selected[name] = found.tpr_at_fpr[SELECTION_FPR].mean
        per_score[name] = replace(found, tpr_at_fpr={f: found.tpr_at_fpr[f] for f in reported})
    selected, best_of = _select(tpr_selected.__getitem__, members, groups)
    return MembershipInference(
        protocol=protocol.name,
        selected=selected,
        groups=best_of,
        per_score=per_score,
        curves={
            name: roc_curve(members[name], nonmembers[name])
            for name in dict.fromkeys([selected, *best_of.values()])
        },
        omitted_fprs=omitted,
        num_members=size,
        num_nonmembers=size,
        num_selection_members=0,
        num_selection_nonmembers=0,
        confidence=None,
        seed=seed,
        notes=tuple(
            f"Score {name!r}: {count} NaN replaced by 0, as published."
            for name, count in changed.items()
            if count
        ),
    )


def _select(
    chosen_by: Callable[[str], float | tuple[float, float]],
    names: Scores,
    groups: Mapping[str, Sequence[str]],
) -> tuple[str, dict[str, str]]:
    """The strongest of all names and of each group; the first named wins a tie."""
    strengths = {name: chosen_by(name) for name in names}
    return max(names, key=strengths.__getitem__), {
        group: max(few, key=strengths.__getitem__) for group, few in groups.items()
    }


def _reportable(fprs: tuple[float, ...], m: int) -> tuple[tuple[float, ...], tuple[OmittedFpr, ...]]:
    """Splits `fprs` into those with room for a false positive among m nonmembers, and the others."""
    omitted = []
    for fpr in fprs:
        if not 0 < fpr <= 1:
            raise InputError(f"A false-positive rate of {fpr} is not in (0, 1].")
        needed = int(np.ceil(1 / fpr - 1e-9))
        if m < needed:
            reason = (
                f"A TPR at {fpr:.4g} FPR needs at least {needed} nonmembers to report on, "
                f"one false positive among them being allowed; there are {m}."
            )
            omitted.append(OmittedFpr(fpr=fpr, nonmembers_needed=needed, reason=reason))
    left_out = {one.fpr for one in omitted}
    return tuple(fpr for fpr in fprs if fpr not in left_out), tuple(omitted)


def _aligned(scores: Scores, side: str) -> dict[str, np.ndarray]:
    if not scores:
        raise InputError(f"There is no score for the {side}.")
    arrays = {name: np.asarray(values) for name, values in scores.items()}
    count = next(iter(arrays.values())).size
    for name, values in arrays.items():
        if values.shape != (count,):
            raise InputError(f"Score {name!r} has shape {values.shape} for the {side}; expected ({count},).")
    return arrays


def _count(scores: Scores) -> int:
    return next(iter(scores.values())).size


def _split(n: int, side: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    check_enough(n, 4, f"{side} (two to select on, two to report on)")
    order, third = rng.permutation(n), max(2, n // 3)
    return np.sort(order[:third]), np.sort(order[third:])


def _nan_to_zero(scores: Scores) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    return (
        {name: np.where(np.isnan(values), 0, values) for name, values in scores.items()},
        {name: int(np.isnan(values).sum()) for name, values in scores.items()},
    )
