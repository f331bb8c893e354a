"""The suite as a figure: how near every stage comes to a matrix product."""

from __future__ import annotations

from matplotlib.figure import Figure

from jaxaudit.reports.kit import style
from jaxaudit.results import SuiteResults

_WHOLE = "whole step"


def suite_figure(results: SuiteResults) -> Figure:
    """A bar per row for the whole step, a dot per stage, 100% being the matrix product of the same run."""
    with style.house_style():
        return _drawn(results)


def _drawn(results: SuiteResults) -> Figure:
    rows = list(results.scoring.items())
    height = 1.3 + 0.42 * max(len(rows), 1)
    figure = style.new_figure(7.0, height)
    machine = results.machine
    style.title(
        figure,
        "Speed of scoring, as a share of a matrix product",
        f"bar: whole step, dots: its stages; {machine.processor}, {machine.cores} cores, {machine.date}",
    )
    axes = figure.add_axes((0.26, 0.5 / height, 0.70, 1 - 1.2 / height))
    bar, dot = style.VIEW_COLOURS[:2]
    for place, (_, row) in enumerate(rows):
        shares = {
            name: 100 * speed.share_of_matmul
            for name, speed in row.stages.items()
            if name != "matmul" and speed.share_of_matmul is not None
        }
        axes.barh(place, shares.pop(_WHOLE), height=0.62, color=bar, alpha=0.35)
        axes.plot(list(shares.values()), [place] * len(shares), "o", color=dot, markersize=4)
        for number, (share, name) in enumerate(sorted((share, name) for name, share in shares.items())):
            above = number % 2 == 0  # neighbours would cover each other
            offset, align = ((0, 4), "bottom") if above else ((0, -4), "top")
            axes.annotate(
                name, (share, place), offset, textcoords="offset points", ha="center", va=align, fontsize=6.5
            )
    axes.axvline(100, color=style.SOFT_INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, None)
    axes.set_xlabel("% of the matrix product")
    style.quiet(axes, grid="x")
    return figure
