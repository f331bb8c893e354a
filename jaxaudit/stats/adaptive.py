"""What an attacker who adapts gets out of a defended model: chosen on one half, measured on the other.

A *view* is one way of asking the model, and what it says of every picture: scores by name, on members and on
nonmembers. Half of either side (`halves`) is the attacker's, who knows there which is which; every number is
measured on the other half. Three levels, each with the means of the ones before (Tramèr et al. 2020):

    A0  score, weights and threshold were fixed on the undefended model
    A1  they are chosen and fitted anew on the defended model, asked as ever
    A2  the attacker knows the defence and asks in other ways, too (more views)

What can be chosen: any score of any view, and per view the logistic regression on all of its scores,

    minimise  sum_i log(1 + exp(-s_i (w·z_i + b))) + (0.1 N ||w||² + b²) / 2,   score = w·z + b           (1)

on the N pictures of the attacker's half, s = 1 for members and -1 else, z standardised there (CDI's scorer).
Of its own half it chooses by scores of 5 fits, each picture being scored by the one that has not seen it.

At A0 the threshold is that with an FPR of 1% on the attacker's half of the undefended model, so the FPR may
be another one on a defended model, and is reported. At A1 and A2 it is set anew.

Sources: Tramèr, Carlini, Brendel, Madry, "On adaptive attacks to adversarial example defenses", NeurIPS 2020;
Aerni, Zhang, Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024.

Axes: n members, m nonmembers, F scores of a view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.errors import InputError
from jaxaudit.results import Interval, LevelLeakage
from jaxaudit.stats.cdi.scorer import FOLDS, RIDGE, num_control
from jaxaudit.stats.inputs import check_enough
from jaxaudit.stats.intervals import clopper_pearson
from jaxaudit.stats.logistic import fit_logistic
from jaxaudit.stats.power import power_curve
from jaxaudit.stats.roc import allowed_false_positives, strength
from jaxaudit.stats.tpr_interval import tpr_at_fpr_interval
from jaxaudit.stats.usage_bound import usage_bound
from jaxaudit.stats.welch import welch_statistic

FPR = 0.01
"""At which the TPR is measured."""
COMBINED = "all scores"
"""The name of (1) among the scores of a view."""
_FEWEST = 20  # pictures of a side

Level = Literal["A0", "A1", "A2"]

Scores = Mapping[str, Float[np.ndarray, " _"]]
"""{score: a number per picture}, higher = more likely a member."""


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """What one way of asking says.

    Attributes:
      members: {score: [n]}. nonmembers: {score: [m]}, the same scores.
    """

    members: Scores
    nonmembers: Scores


@dataclasses.dataclass(frozen=True, eq=False)
class Halves:
    """Rows of members and of nonmembers: those the attacker knows, and those that are measured on."""

    known: tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]
    test: tuple[Int[np.ndarray, " c"], Int[np.ndarray, " d"]]


def halves(num_members: int, num_nonmembers: int, *, seed: int) -> Halves:
    """Random halves; of an odd number the attacker has one more.

    Raises:
      InputError: if there are fewer than 20 pictures on a side.
    """
    check_enough(min(num_members, num_nonmembers), _FEWEST, "members, and as many nonmembers,")
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(count) for count in (num_members, num_nonmembers)]
    known, test = zip(
        *((np.sort(o[: (k := num_control(o.size))]), np.sort(o[k:])) for o in orders), strict=True
    )
    return Halves(known, test)


@dataclasses.dataclass(frozen=True, eq=False)
class Attack:
    """A score of all pictures, ready to be chosen: members [n], nonmembers [m].

    Attributes:
      name: "VIEW: SCORE".
      again: view -> (members, nonmembers), the same attack on another one: what is frozen.
    """

    name: str
    members: Float[np.ndarray, " n"]
    nonmembers: Float[np.ndarray, " m"]
    again: Callable[[View], tuple[np.ndarray, np.ndarray]]

    def of(self, rows: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Its scores of some members and nonmembers."""
        return self.members[rows[0]], self.nonmembers[rows[1]]


def attacks_on(views: Mapping[str, View], split: Halves) -> list[Attack]:
    """All that can be chosen in these views."""
    found = []
    for asked, view in views.items():
        for name in view.members:

            def again(other: View, name: str = name) -> tuple[np.ndarray, np.ndarray]:
                members, nonmembers = other.members[name], other.nonmembers[name]
                return np.asarray(members, np.float64), np.asarray(nonmembers, np.float64)

            found.append(Attack(f"{asked}: {name}", *again(view), again))
        found.append(_combination(asked, view, split))
    return found


def _combination(asked: str, view: View, split: Halves) -> Attack:
    """(1) for a view."""
    names = tuple(view.members)
    sides = [_matrix(side, names) for side in (view.members, view.nonmembers)]
    x = np.concatenate([side[rows] for side, rows in zip(sides, split.known, strict=True)])
    counts = [rows.size for rows in split.known]
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1.0

    def scaled(features: np.ndarray) -> np.ndarray:
        return np.column_stack([(features - mean) / spread, np.ones(len(features))])

    fold = np.concatenate([np.arange(count) % FOLDS for count in counts])
    is_member = np.arange(len(x)) < counts[0]
    # The last of the fits leaves no picture out.
    ridge = np.full(FOLDS + 1, RIDGE * len(x))
    coefficients, logits = fit_logistic(scaled(x)[None], is_member[None, None], fold, ridge)
    unseen = logits[0, 0, fold, np.arange(len(x))]

    def again(other: View) -> tuple[np.ndarray, np.ndarray]:
        both = other.members, other.nonmembers
        members, nonmembers = (scaled(_matrix(side, names)) @ coefficients[0, 0, -1] for side in both)
        return members, nonmembers

    scores = again(view)
    for side, rows, part in zip(scores, split.known, np.split(unseen, counts[:1]), strict=True):
        side[rows] = part
    return Attack(f"{asked}: {COMBINED}", *scores, again)


def _matrix(scores: Scores, names: Sequence[str]) -> Float[np.ndarray, "n F"]:
    if missing := [name for name in names if name not in scores]:
        raise InputError(f"Score {missing[0]!r} is not there for every view.")
    return np.stack([np.asarray(scores[name], np.float64) for name in names], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Chosen:
    """The best attacks on the attacker's half, one for each thing that is measured.

    Attributes:
      single: for the TPR at 1% FPR. threshold: with that FPR on the attacker's half.
      verdict: with the largest Welch statistic. share: with the largest bound on the share of members.
    """

    single: Attack
    threshold: float
    verdict: Attack
    share: Attack


def choose(attacks: Sequence[Attack], split: Halves) -> Chosen:
    """The best ones on the attacker's half; of equals the first.

    A bound on the share takes long, so it is asked of those ten that separate best.
    """
    known = {attack.name: attack.of(split.known) for attack in attacks}

    def apart(attack: Attack) -> float:
        x, y = known[attack.name]
        spread = x.var(ddof=1), y.var(ddof=1)
        if sum(spread) == 0:
            return 0.0
        gap = float(x.mean() - y.mean())
        return float(welch_statistic(gap, float(spread[0]), x.size, float(spread[1]), y.size)[0])

    single = max(attacks, key=lambda attack: strength(*known[attack.name], fpr=FPR))
    best = sorted(attacks, key=apart, reverse=True)
    share = max(best[:10], key=lambda attack: usage_bound(*known[attack.name]))
    y = np.sort(known[single.name][1])[::-1]
    return Chosen(single, float(y[allowed_false_positives(FPR, y.size)]), best[0], share)


def frozen(chosen: Chosen, view: View, split: Halves, *, alpha: float = 0.01, seed: int = 0) -> LevelLeakage:
    """A0: what was chosen on the undefended model, on the defended one, measured on the other half."""
    members, nonmembers = (
        side[rows] for side, rows in zip(chosen.single.again(view), split.test, strict=True)
    )
    above = [int(np.sum(side > chosen.threshold)) for side in (members, nonmembers)]
    return _leakage(
        "A0",
        chosen,
        clopper_pearson(above[0], members.size),
        above[1] / nonmembers.size,
        *(
            tuple(side[rows] for side, rows in zip(attack.again(view), split.test, strict=True))
            for attack in (chosen.verdict, chosen.share)
        ),
        alpha=alpha,
        seed=seed,
    )


def refitted(
    level: Level, chosen: Chosen, split: Halves, *, alpha: float = 0.01, seed: int = 0
) -> LevelLeakage:
    """A1 or A2: what was chosen on the defended model, measured on the other half."""
    return _leakage(
        level,
        chosen,
        tpr_at_fpr_interval(*chosen.single.of(split.test), fpr=FPR),
        FPR,
        chosen.verdict.of(split.test),
        chosen.share.of(split.test),
        alpha=alpha,
        seed=seed,
    )


def _leakage(
    level: Level,
    chosen: Chosen,
    tpr: Interval,
    fpr: float,
    verdict: tuple[np.ndarray, ...],
    share: tuple[np.ndarray, ...],
    *,
    alpha: float,
    seed: int,
) -> LevelLeakage:
    p, u = verdict
    needed = None
    if np.ptp(np.concatenate([p, u])) > 0:
        needed = power_curve(p[:, None], u[:, None], alpha=alpha, repetitions=300, seed=seed).required
    return LevelLeakage(
        level=level,
        attack=chosen.single.name,
        tpr=tpr,
        fpr=fpr,
        verdict_attack=chosen.verdict.name,
        needed=needed,
        share_attack=chosen.share.name,
        at_least=usage_bound(*share),
    )
