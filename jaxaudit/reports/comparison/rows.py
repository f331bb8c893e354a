"""Several audits side by side: a line per target, in a terminal, in LaTeX and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import (
    Row,
    csv_table,
    flat,
    latex_table,
    read,
    shortened,
    terminal_table,
    turned,
)
from jaxaudit.results import (
    ComparedTarget,
    ComparisonResults,
    Correlation,
    Interval,
    MeanStd,
    PublishedComparedTarget,
    RequiredSize,
)
from jaxaudit.results.comparison import Against, Leak

Compared = ComparedTarget | PublishedComparedTarget
"""One target, under either kind of protocol."""

LEAKS: Mapping[Leak, str] = {"auc": "AUC", "tpr": "TPR at 1% FPR", "needed": "images needed"}
AGAINST: Mapping[Against, str] = {
    "parameters": "parameters",
    "training_steps": "training steps",
    "gflop": "GFLOP to generate",
    "seconds": "seconds to generate",
}


def _tpr(tpr: Interval | MeanStd | None) -> str:
    return "too few nonmembers" if tpr is None else formats.spread(tpr, formats.percent)


def _needed(needed: RequiredSize | None) -> str:
    if needed is None:
        return "not testable"
    if needed.estimate is None:
        return "more than there are"
    if needed.low is None:
        return formats.count(needed.estimate)
    high = "more" if needed.high is None else formats.count(needed.high)
    return f"{formats.count(needed.estimate)} ({formats.count(needed.low)} to {high})"


def _shortly(value: Interval | MeanStd | None, number: formats.Format) -> str:
    return "" if value is None else number(formats.center(value))


def _steps(one: Compared) -> str | None:
    return None if one.training_steps is None else formats.count(one.training_steps)


def _gflop(one: Compared) -> str | None:
    return None if one.generation is None else f"{one.generation.gflop:.3g}"


def _seconds(one: Compared) -> str | None:
    return None if one.generation is None else f"{one.generation.seconds:.2g}"


ROWS: tuple[Row[Compared], ...] = (
    Row("target", lambda one: one.target, lambda one: one.target),
    Row("parameters", lambda one: formats.count(one.num_params), lambda one: formats.count(one.num_params)),
    Row("training steps", _steps, lambda one: _steps(one) or ""),
    Row("GFLOP / image", lambda one: "" if one.gflop is None else f"{one.gflop:.3g}"),
    Row("GFLOP to generate", _gflop, lambda one: _gflop(one) or ""),
    Row("seconds to generate", _seconds, lambda one: _seconds(one) or ""),
    Row("baseline", lambda one: one.baseline),
    Row("TPR at 1% FPR", lambda one: _tpr(one.baseline_tpr)),
    Row("best score", lambda one: one.best),
    Row(
        "TPR at 1% FPR",
        lambda one: _tpr(one.best_tpr),
        lambda one: _shortly(one.best_tpr, formats.percent),
    ),
    Row(
        "AUC",
        lambda one: formats.spread(one.auc, formats.area),
        lambda one: _shortly(one.auc, formats.area),
    ),
    Row("images needed", lambda one: _needed(one.needed), lambda one: _needed(one.needed)),
)
"""What is said of each target."""

_BESIDE = 4
"""Targets that fit side by side in a terminal."""

CORRELATION_ROWS: tuple[Row[Correlation], ...] = (
    Row("leakage", lambda one: LEAKS[one.leak]),
    Row("against", lambda one: AGAINST[one.against]),
    Row("Spearman", lambda one: correlation(one.spearman)),
    Row("Pearson, of logarithms", lambda one: "" if one.pearson is None else correlation(one.pearson)),
    Row("Spearman, else alike", lambda one: "" if one.partial is None else correlation(one.partial)),
    Row("targets", lambda one: formats.count(one.num_targets)),
)
"""What is said of a correlation."""


def correlation(found: Interval) -> str:
    """A correlation with its interval."""
    return formats.spread(found, lambda value: formats.decimal(value, 2))


def print_comparison(results: ComparisonResults, console: Console) -> None:
    """The comparison in a terminal: a column per target, or a line where there are many; correlations."""
    if len(results.targets) <= _BESIDE:
        heading, *lines = ([label, *texts] for label, texts in read(ROWS, results.targets))
        heading[0] = ""
    else:
        heading, lines = turned(read(shortened(ROWS), results.targets))
    console.print(terminal_table("Leakage by target", heading, lines))
    if results.correlations:
        lines = turned(read(CORRELATION_ROWS, results.correlations))
        console.print(terminal_table("What leakage goes with", *lines, caption=CAUTION))


CAUTION = (
    "Intervals count every target once; checkpoints of one run, or targets that learned from the same "
    "pictures, are fewer than they look. “Else alike”: among targets of as many training steps, or for these "
    "of as many parameters."
)
"""What a reader of correlations should know."""


def comparison_csv(targets: Sequence[Compared]) -> str:
    """One line per target; an interval is three columns."""
    return csv_table([flat(one) for one in targets])


def comparison_latex(targets: Sequence[Compared]) -> str:
    """A booktabs table, one line per target."""
    return latex_table(*turned(read(ROWS, targets)))
