"""Shares of P told, and pictures named, over many draws: a table and a panel per target."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.rows import Row, read, turned
from jaxaudit.results import Interval, UsageRates, UsageStudy

_RIGHT = "as it should be"
_PANEL, _LEFT = 2.0, 0.75  # inches


def _optional(rate: Interval | None) -> str:
    return "" if rate is None else formats.percent(rate.estimate)


ROWS: tuple[Row[UsageRates], ...] = (
    Row(
        "trained on",
        lambda row: formats.level(row.share) + ("" if row.description == _RIGHT else f"; {row.description}"),
    ),
    Row("bound", lambda row: formats.percent(row.mean_bound)),
    Row("holds", lambda row: formats.percent(row.bound_covers.estimate)),
    Row("above 0", lambda row: formats.percent(row.bound_above_zero.estimate)),
    Row("share told", lambda row: formats.percent(row.told.estimate)),
    Row("error", lambda row: "" if row.mean_error is None else formats.decimal(row.mean_error, 3)),
    Row("95% below", lambda row: "" if row.large_error is None else formats.decimal(row.large_error, 3)),
    Row("interval holds", lambda row: _optional(row.interval_covers)),
    Row("possible holds", lambda row: _optional(row.possible_covers)),
    Row("no mixture", lambda row: formats.percent(row.no_mixture.estimate)),
    Row("named", lambda row: formats.decimal(row.mean_named, 1)),
    Row("nonmembers", lambda row: formats.percent(row.false_discovery_rate)),
    Row("any", lambda row: formats.percent(row.nonmember_named.estimate)),
)
"""What is said of each share."""


def usage_markdown(studies: Sequence[UsageStudy]) -> str:
    """A section with a table per target."""
    first = studies[0]
    parts = [
        "## Shares told, and pictures named",
        f"{formats.count(first.num_images)} images each of P, U and known members, "
        f"{formats.count(first.rates[0].repetitions)} draws of every row, "
        f"{formats.level(first.confidence)} confidence, lists at q = {formats.level(first.q)}.",
    ]
    for study in studies:
        heading, lines = turned(read(ROWS, study.rates))
        parts += [
            f"### {study.target}",
            "\n".join(["|".join(["", *heading, ""]), "|---" * len(heading) + "|"]),
        ]
        parts[-1] += "".join(f"\n| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(parts) + "\n"


def usage_figure(studies: Sequence[UsageStudy]) -> Figure:
    """Bound and estimate against the share that was trained on."""
    width = max(_LEFT + _PANEL * len(studies) + 0.15, 6.6)
    with style.house_style():
        figure = style.new_figure(width, 3.5)
        first = studies[0]
        style.title(
            figure,
            "The share of P that was trained on, told",
            f"mean bound, and estimates with where 90% of them are; {formats.count(first.num_images)} images "
            f"each of P, U and known members, {formats.level(first.confidence)} confidence",
        )
        for place, study in enumerate(studies):
            left = (_LEFT + _PANEL * place) / width
            axes = figure.add_axes((left, 0.18, (_PANEL - 0.3) / width, 0.55))
            _panel(axes, study)
            axes.set_title(study.target)
            if place:
                axes.set_yticklabels([])
        figure.axes[0].set_ylabel("told")
        figure.text((_LEFT - 0.02) / width, 0.025, "trained on", color=style.SOFT_INK, fontsize=9)
        for x, label, colour in (
            (0.0, "estimate, by known members", style.VIEW_COLOURS[0]),
            (2.5, "at least, from U alone", style.VIEW_COLOURS[1]),
        ):
            figure.text((_LEFT + 0.85 + x) / width, 0.025, label, color=colour, fontsize=9, fontweight="bold")
    return figure


def _panel(axes: Axes, study: UsageStudy) -> None:
    rates = [row for row in study.rates if row.description == _RIGHT]
    axes.plot([0, 1], [0, 1], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.plot(
        [row.share for row in rates],
        [row.mean_bound for row in rates],
        "o-",
        color=style.VIEW_COLOURS[1],
        markersize=3.5,
        linewidth=1.2,
    )
    seldom = True
    for row in rates:
        if row.estimates is not None and row.told.estimate >= 0.5:
            low, middle, high = row.estimates
            axes.plot([row.share] * 2, [low, high], color=style.VIEW_COLOURS[0], linewidth=3, alpha=0.4)
            axes.plot([row.share], [middle], "o", color=style.VIEW_COLOURS[0], markersize=4.5)
            seldom = False
    if seldom:
        words = "no estimate:\nsingle pictures\nhardly differ"
        axes.text(0, 1, words, fontsize=8, color=style.SOFT_INK, va="top")
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    style.quiet(axes, grid="both")
