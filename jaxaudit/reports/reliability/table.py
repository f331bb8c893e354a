"""How far verdicts can be trusted, as Markdown tables: false accusations, and members found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxaudit.reports.kit import formats
from jaxaudit.reports.reliability.usage import usage_markdown
from jaxaudit.results import (
    AlternativePower,
    Interval,
    ReliabilityResults,
    TargetReliability,
    VerdictRates,
)
from jaxaudit.results.unit_control import UnitControlStudy

_HEADINGS = ("the test of one view", "omnibus, as they are", "omnibus, adjusted", "**verdict**", "at most")


def reliability_markdown(results: ReliabilityResults) -> str:
    """A section per target, and one for each of the other studies."""
    parts = [_target(target, results) for target in results.targets]
    if results.alternatives:
        parts.append(_alternatives(results.alternatives))
    if results.unit_controls:
        parts.append(_unit_controls(results.unit_controls))
    if results.usage:
        parts.append(usage_markdown(results.usage))
    return "\n".join(parts)


def _target(target: TargetReliability, results: ReliabilityResults) -> str:
    about = (
        f"{formats.count(target.num_scores)} scores, α = {formats.level(results.alpha)}, "
        f"{formats.count(results.permutations)} relabellings of every test."
    )
    parts = [f"## {target.target}", about]
    if target.accused:
        parts += [
            "Share of draws in which a model that has seen neither set, or only U, is said to have been "
            "trained on P:",
            _table("what is wrong", target.accused),
        ]
    if target.found:
        parts += ["Share of draws in which P, on which the model was trained, is found:"]
        parts += [_table("", target.found)]
    return "\n\n".join(parts) + "\n"


def _table(what: str, rows: Iterable[VerdictRates]) -> str:
    lines = [
        f"| {what} | images | draws | {' | '.join(_HEADINGS)} |",
        "|" + "---|" * (3 + len(_HEADINGS)),
    ]
    for row in rows:
        rates = [row.one_view, row.plain, row.adjusted, row.trained_on]
        cells = [row.description, formats.count(row.num_images), formats.count(row.repetitions)]
        cells += [*map(_rate, rates), formats.percent(row.trained_on.high)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _alternatives(found: Sequence[AlternativePower]) -> str:
    tests = list(found[0].rejected)
    lines = [
        "## Power on simulated scores\n",
        f"{formats.count(found[0].num_images)} images a side, {formats.count(found[0].repetitions)} data "
        "sets of each kind: how often each test rejects.\n",
        f"| P differs by | {' | '.join(tests)} | of the best | contradicted |",
        "|" + "---|" * (3 + len(tests)),
    ]
    for each in found:
        rates = [rate.estimate for rate in each.rejected.values()]
        relative = formats.percent(rates[0] / max(rates[1:])) if max(rates[1:]) > 0.1 else ""
        cells = [*map(formats.percent, rates), relative, formats.percent(each.contradicted.estimate)]
        lines.append(f"| {each.alternative} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _unit_controls(found: Sequence[UnitControlStudy]) -> str:
    lines = [
        "## UnitMem's control\n",
        "Splits of unseen pictures in which it rejects, either way round, and finds planted units.\n",
        "| target | top | splits | rejects | swapped | planted |",
        "|---|---|---|---|---|---|",
    ]
    for study in found:
        for rates in study.rates:
            shown = [rates.unseen, rates.swapped, rates.planted]
            cells = [study.target, formats.level(rates.top), formats.count(study.num_splits)]
            lines.append(f"| {' | '.join([*cells, *map(_rate, shown)])} |")
    return "\n".join(lines) + "\n"


def _rate(rate: Interval) -> str:
    return formats.percent(rate.estimate)
