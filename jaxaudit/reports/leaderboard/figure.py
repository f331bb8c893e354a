"""What each score finds against what it costs, a panel per target."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.leaderboard.rows import name_of
from jaxaudit.results import LeaderboardResults, TargetBoard

_FPR = 0.01
_COLUMNS = 4
_PANEL = (2.25, 2.05)  # inches


def frontier_figure(results: LeaderboardResults) -> Figure:
    """TPR at 1% FPR of every score over its passes, and the frontier with its intervals."""
    boards = results.targets
    columns = min(_COLUMNS, len(boards))
    rows = math.ceil(len(boards) / columns)
    most = max(entry.passes for board in boards for entry in board.board.entries.values())
    with style.house_style():
        width, height = max(0.75 + _PANEL[0] * columns, 6.6), 1.3 + _PANEL[1] * rows
        figure = style.new_figure(width, height)
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        figure.subplots_adjust(
            left=0.62 / width,
            right=1 - 0.12 / width,
            top=1 - 1.05 / height,
            bottom=0.5 / height,
            wspace=0.1,
            hspace=0.38,
        )
        for axes, board in zip(panels.flat, boards, strict=False):
            _panel(axes, board)
        for axes in list(panels.flat)[len(boards) :]:
            axes.set_axis_off()
        _scale(panels[0][0], most)
        for place, axes in enumerate(panels.flat):
            if place < len(boards) <= place + columns:  # nothing below
                axes.set_xlabel("passes per image")
                axes.tick_params(labelbottom=True)
        for row in panels:
            row[0].set_ylabel("TPR at 1% FPR")
        style.title(
            figure,
            "What the best score of a cost finds",
            "blue: chosen on a third of the images, measured on the others, with 95% intervals; grey: every "
            "score",
        )
    return figure


def _panel(axes: Axes, board: TargetBoard) -> None:
    entries, best = board.board.entries.values(), style.VIEW_COLOURS[0]
    axes.plot(
        [entry.passes for entry in entries],
        [entry.tpr_at_fpr[_FPR].estimate for entry in entries],
        "_",
        color=style.NONMEMBERS,
        alpha=0.55,
        markersize=9,
        clip_on=False,
    )
    points = [point.found for point in board.board.frontier]
    places, rates = [found.passes for found in points], [found.tpr_at_fpr[_FPR] for found in points]
    axes.plot(
        places,
        [rate.estimate for rate in rates],
        "o-",
        color=best,
        markersize=4.5,
        linewidth=1.2,
        clip_on=False,
    )
    for place, rate in zip(places, rates, strict=True):
        axes.plot([place, place], [rate.low, rate.high], color=best, alpha=0.3, linewidth=4)
    axes.set_title(name_of(board), fontweight="bold", color=style.INK, pad=15)
    axes.text(0, 1.03, board.board.frontier[-1].score, transform=axes.transAxes, fontsize=8, color=best)
    style.quiet(axes, grid="both")


def _scale(axes: Axes, most: int) -> None:
    """Of all panels: passes in doublings, rates by their square root, which shows small ones."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.75, 1.4 * max(most, 2))
    ticks = [2**power for power in range(0, math.ceil(math.log2(max(most, 2))) + 1, 1 if most < 16 else 2)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.01, 0.05, 0.2, 0.5, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.level(value)))
