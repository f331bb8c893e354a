"""How far verdicts can be trusted, as Markdown tables: false accusations, and members found."""

from __future__ import annotations

from collections.abc import Iterable

from jaxaudit.reports.kit import formats
from jaxaudit.results import Interval, ReliabilityResults, TargetReliability, VerdictRates

_HEADINGS = ("the test of one view", "omnibus, as they are", "omnibus, adjusted", "**verdict**", "at most")


def reliability_markdown(results: ReliabilityResults) -> str:
    """A section per target."""
    return "\n".join(_target(target, results) for target in results.targets)


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


def _rate(rate: Interval) -> str:
    return formats.percent(rate.estimate)
