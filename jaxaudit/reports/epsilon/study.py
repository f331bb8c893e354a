"""How good bounds on epsilon are, where it is known: table, figure and CSV."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure
from rich.console import Console

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.rows import Row, csv_table, flat, read, terminal_table, turned
from jaxaudit.results import EpsilonStudyResults, MechanismBounds

ROWS: tuple[Row[MechanismBounds], ...] = (
    Row("mechanism", lambda row: row.mechanism),
    Row("its epsilon", lambda row: f"{row.epsilon:g}"),
    Row("canaries", lambda row: formats.count(row.num_canaries)),
    Row("above it", lambda row: formats.percent(row.above.estimate)),
    Row("at most", lambda row: formats.percent(row.above.high)),
    Row("mean bound", lambda row: formats.decimal(row.mean, 2)),
    Row("middle 90%", lambda row: f"{formats.decimal(row.low, 2)} to {formats.decimal(row.high, 2)}"),
)
"""What is said of a mechanism."""


def print_study(results: EpsilonStudyResults, console: Console) -> None:
    """Prints a line per mechanism, epsilon and number of canaries."""
    title = (
        f"Bounds at {formats.level(results.confidence)} confidence, "
        f"{formats.count(results.mechanisms[0].runs)} runs each"
    )
    console.print(terminal_table(title, *turned(read(ROWS, results.mechanisms))))


def study_csv(results: EpsilonStudyResults) -> str:
    """A line per mechanism, epsilon and number of canaries; an interval is three columns."""
    return csv_table([flat(row) for row in results.mechanisms])


def study_figure(results: EpsilonStudyResults) -> Figure:
    """Bounds against the epsilon that is true, a panel per mechanism and a line per number of canaries."""
    names = list(dict.fromkeys(row.mechanism for row in results.mechanisms))
    top = max(row.epsilon for row in results.mechanisms)
    with style.house_style():
        figure = style.new_figure(7.2, 3.9)
        width = 0.86 / len(names)
        for place, name in enumerate(names):
            axes = figure.add_axes((0.075 + place * (width + 0.02), 0.15, width, 0.61))
            rows = [row for row in results.mechanisms if row.mechanism == name]
            axes.plot([0, top], [0, top], color=style.RULE, linewidth=1.2)
            axes.text(0.7 * top, 0.73 * top, "truth", color=style.SOFT_INK, ha="right", va="bottom")
            for colour, size in zip(style.VIEW_COLOURS, _sizes(rows), strict=False):
                of_size = sorted(
                    (row for row in rows if row.num_canaries == size), key=lambda row: row.epsilon
                )
                truth = [row.epsilon for row in of_size]
                axes.fill_between(
                    truth, [row.low for row in of_size], [row.high for row in of_size],
                    color=colour, alpha=0.15, linewidth=0,
                )  # fmt: skip
                axes.plot(truth, [row.mean for row in of_size], "o-", color=colour, markersize=4)
                last = of_size[-1]
                axes.text(
                    1.02 * top, last.mean, formats.count(size), color=colour, fontweight="bold", va="center"
                )
            axes.set_xlim(0, 1.24 * top)
            axes.set_ylim(0, 1.04 * top)
            axes.set_title(f"{name[0].upper()}{name[1:]}", color=style.INK)
            axes.set_xlabel("epsilon of the mechanism")
            if place:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("epsilon shown by one run")
            style.quiet(axes, grid="both")
        style.title(
            figure,
            "What one run can show grows with the number of canaries (coloured)",
            f"mean and middle nine tenths of {formats.count(results.mechanisms[0].runs)} runs, "
            f"{formats.level(results.confidence)} confidence, δ = {results.delta:g}",
        )
    return figure


def _sizes(rows: Iterable[MechanismBounds]) -> list[int]:
    return sorted({row.num_canaries for row in rows})
