"""From what a defended target says to what attackers of every level get, and to a curve per defence.

Axes: n members, m nonmembers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxaudit.audits.defence.config import DefendConfig
from jaxaudit.audits.defence.defences import AS_EVER, averaging
from jaxaudit.results import (
    DefencePoint,
    DefendedTarget,
    Interval,
    LevelLeakage,
    QueriedTpr,
    replace,
)
from jaxaudit.stats.adaptive import Chosen, Halves, View, attacks_on, choose, frozen, refitted
from jaxaudit.stats.adaptive_extraction import LogP, adaptive_extraction
from jaxaudit.stats.frontier import at_no_more_loss, effect, frontier, queries_back

DIFFERENCE = "defended less undefended"
GREEDY, SAMPLING = "greedy completion", "sampling"


@dataclasses.dataclass(frozen=True, eq=False)
class Said:
    """What a defended target says.

    Attributes:
      views: {way of asking: scores}, `AS_EVER` first.
      greedy: log p of greedy completion, asked as ever; None without tokens.
      sampling: {way of asking: log p of sampling}, of the first and the last; empty without tokens.
    """

    views: Mapping[str, View]
    greedy: LogP | None
    sampling: Mapping[str, LogP]


def levels(said: Said, before: Chosen, split: Halves, config: DefendConfig) -> tuple[LevelLeakage, ...]:
    """A0, A1 and A2 of a target; `before` was chosen on the undefended one."""
    asked = {"alpha": config.alpha, "seed": config.seed}
    plain = attacks_on({AS_EVER: said.views[AS_EVER]}, split)
    more = attacks_on({way: view for way, view in said.views.items() if way != AS_EVER}, split)
    found = (
        frozen(before, said.views[AS_EVER], split, **asked),
        refitted("A1", choose(plain, split), split, **asked),
        refitted("A2", choose(plain + more, split), split, **asked),
    )
    if said.greedy is None:
        return found
    greedy = {GREEDY: said.greedy}
    every = greedy | {f"{SAMPLING}, {way}": log_p for way, log_p in said.sampling.items()}
    return tuple(
        replace(level, extracted=adaptive_extraction(ways, split, most_tries=config.most_tries))
        for level, ways in zip(found, (greedy, greedy, every), strict=True)
    )


def by_queries(said: Said, split: Halves, queries: Sequence[int]) -> tuple[QueriedTpr, ...]:
    """The TPR of an attacker of level A2 who averages no more than so many answers, for each number."""
    attacks, found = [], []
    for count in queries:
        way = AS_EVER if count == 1 else averaging(count)
        attacks += attacks_on({way: said.views[way]}, split)
        tpr = refitted("A2", choose(attacks, split), split).tpr
        found.append(QueriedTpr(queries=count, tpr=tpr))
    return tuple(found)


def difference(defended: View, undefended: View, split: Halves) -> Interval:
    """The TPR of the defended target's scores less the undefended one's."""
    view = View(
        *(
            {name: after[name] - before[name] for name in after}
            for after, before in (
                (defended.members, undefended.members),
                (defended.nonmembers, undefended.nonmembers),
            )
        )
    )
    return refitted("A2", choose(attacks_on({DIFFERENCE: view}, split), split), split).tpr


def points(measured: Sequence[DefendedTarget]) -> tuple[DefencePoint, ...]:
    """The defences over their seeds, the undefended target first."""
    groups: dict[tuple[str, str, float], list[DefendedTarget]] = {}
    for one in measured:
        key = one.defence.kind, one.defence.name, one.defence.strength
        groups.setdefault(key, []).append(one)
    loss, leak = (np.array(values) for values in zip(*map(_place, groups.values()), strict=True))
    best, keys, before = frontier(loss, leak), list(groups), measured[0]

    def baseline(kind: str, wanted: float) -> float | None:
        """Of the curves of a kind, each from the undefended target on."""
        names = dict.fromkeys(name for of_kind, name, _ in keys if of_kind == kind)
        rows = [[0, *(i for i, key in enumerate(keys) if key[:2] == (kind, name))] for name in names]
        found = [at_no_more_loss(loss[row], leak[row], wanted) for row in rows]
        return min((value for value in found if value is not None), default=None)

    return tuple(
        _point(
            group,
            before,
            on_frontier=bool(best[i]),
            random_units=baseline("random", loss[i]),
            variants=baseline("variant", loss[i]),
        )
        for i, group in enumerate(groups.values())
    )


def _place(group: Sequence[DefendedTarget]) -> tuple[float, float]:
    """Mean loss and mean TPR at A2."""
    return (
        float(np.mean([one.quality.heldout_loss.estimate for one in group])),
        float(np.mean([one.levels[-1].tpr.estimate for one in group])),
    )


def _point(
    group: Sequence[DefendedTarget],
    before: DefendedTarget,
    *,
    on_frontier: bool,
    random_units: float | None,
    variants: float | None,
) -> DefencePoint:
    first, names = group[0], [level.level for level in group[0].levels]
    by_level = {name: [one.levels[i] for one in group] for i, name in enumerate(names)}
    tpr = {name: _over([level.tpr for level in some]) for name, some in by_level.items()}
    undefended = {level.level: level.tpr for level in before.levels}
    extracted = {
        name: _over([level.extracted.share for level in some if level.extracted is not None])
        for name, some in by_level.items()
        if some[0].extracted is not None
    }
    frechets = [one.quality.frechet for one in group if one.quality.frechet is not None]
    back = [queries_back(undefended["A2"], [(q.queries, q.tpr) for q in one.by_queries]) for one in group]
    return DefencePoint(
        kind=first.defence.kind,
        name=first.defence.name,
        strength=first.defence.strength,
        seeds=len(group),
        heldout_loss=_over([one.quality.heldout_loss for one in group]),
        frechet=_over(frechets) if frechets else None,
        diversity=_over([one.quality.diversity for one in group]),
        tpr=tpr,
        extracted=extracted,
        needed={name: _fewest(some) for name, some in by_level.items()},
        at_least={name: max(level.at_least for level in some) for name, some in by_level.items()},
        frontier=on_frontier,
        effect=None if first is before else effect(undefended, tpr),
        random_units=random_units,
        variants=variants,
        queries_back=max(known) if (known := [count for count in back if count is not None]) else None,
    )


def _fewest(some: Sequence[LevelLeakage]) -> int | None:
    known = [one.needed.estimate for one in some if one.needed and one.needed.estimate is not None]
    return min(known, default=None)


def _over(intervals: Sequence[Interval]) -> Interval:
    """The mean over seeds, from the lowest limit to the highest."""
    return Interval(
        float(np.mean([one.estimate for one in intervals])),
        min(one.low for one in intervals),
        max(one.high for one in intervals),
    )
