"""Many scores of one target side by side, by what they give away and what they cost.

Every score is measured on all samples, but one that was fitted on those only that its fit has not seen; an
interval holds for one number, and among a hundred scores the largest is the luckiest, too. So the best score
is chosen on the selection third of `jaxaudit.stats.membership` and measured on the other two. With c(s)
passes of score s through the network,

  best(c) = argmax over c(s) <= c of (TPR at 1% FPR, AUC), on the third                               (1)

changes at K costs c; the frontier are these K scores. The choice has not seen what they are measured on, and
at a confidence of 1 - (1 - confidence) / K each, all K intervals of a number hold together (Bonferroni).

Axes: n members, m nonmembers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Int, Real

from jaxaudit.errors import InputError
from jaxaudit.results import BoardEntry, FrontierPoint, Leaderboard
from jaxaudit.stats.intervals import CONFIDENCE, auc_interval
from jaxaudit.stats.membership import SELECTION_FPR, selection_split
from jaxaudit.stats.roc import strength
from jaxaudit.stats.tpr_interval import tpr_at_fpr_interval

Pair = tuple[Real[np.ndarray, " _"], Real[np.ndarray, " _"]]
"""Scores of members and of nonmembers."""


def leaderboard(
    members: Mapping[str, Real[np.ndarray, " _"]],
    nonmembers: Mapping[str, Real[np.ndarray, " _"]],
    passes: Mapping[str, int],
    *,
    fitted: Collection[str] = (),
    fprs: Sequence[float] = (0.01, 0.001),
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Leaderboard:
    """Measures every score, and the best of each cost (1).

    At a false-positive rate below 1 / m the estimate is the rate at no false positive; its interval is that
    of the rate asked for.

    Args:
      members: {score: [n]}, higher = more likely a member.
      nonmembers: {score: [m]}, the same scores.
      passes: {score: what it costs}.
      fitted: scores that were fitted to the selection third of this seed.
      fprs: false-positive rates to report the TPR at.
      confidence: of the intervals.
      seed: of the choice.

    Raises:
      InputError: if there is no score, one is not on both sides or has no cost, or is NaN or infinite, or
        there are fewer than 4 of either side.
    """
    if not members:
        raise InputError("There is no score to list.")
    for others, what in ((nonmembers, "nonmembers"), (passes, "costs")):
        if missing := members.keys() ^ others.keys():
            raise InputError(f"Score {min(missing)!r} is there for only one of members and {what}.")
    pairs = {name: (members[name], nonmembers[name]) for name in members}
    n, m = (len(side) for side in next(iter(pairs.values())))
    chosen_on, measured_on = zip(*selection_split(n, m, seed), strict=True)

    def entry(name: str, pair: Pair, level: float) -> BoardEntry:
        return BoardEntry(
            passes=passes[name],
            auc=auc_interval(*pair, confidence=level),
            tpr_at_fpr={fpr: tpr_at_fpr_interval(*pair, fpr=fpr, confidence=level) for fpr in fprs},
        )

    strengths = {name: strength(*_rows(pair, chosen_on), fpr=SELECTION_FPR) for name, pair in pairs.items()}
    best = _best_by_cost(strengths, passes)
    level = 1 - (1 - confidence) / len(best)
    entries = {
        name: entry(name, _rows(pair, measured_on) if name in fitted else pair, confidence)
        for name, pair in pairs.items()
    }
    return Leaderboard(
        entries=dict(sorted(entries.items(), key=lambda item: -item[1].auc.estimate)),
        frontier=tuple(
            FrontierPoint(name, entry(name, _rows(pairs[name], measured_on), level)) for name in best
        ),
        num_members=n,
        num_nonmembers=m,
        num_measured_members=len(measured_on[0]),
        num_measured_nonmembers=len(measured_on[1]),
    )


def _rows(pair: Pair, rows: tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]) -> Pair:
    return pair[0][rows[0]], pair[1][rows[1]]


def _best_by_cost(strengths: Mapping[str, tuple[float, float]], passes: Mapping[str, int]) -> list[str]:
    """The scores (1), by growing cost; of equal ones the cheaper, then the first named."""
    best: list[str] = []
    for name in sorted(strengths, key=lambda name: (passes[name], [-part for part in strengths[name]])):
        if not best or strengths[name] > strengths[best[-1]]:
            best.append(name)
    return best
