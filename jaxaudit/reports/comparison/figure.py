"""Several targets side by side: what each gives away against its size."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from jaxaudit.reports.comparison.rows import Compared
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import Interval


def leakage_figure(targets: Sequence[Compared]) -> Figure:
    """TPR at 1% FPR of baseline and best score against the number of parameters, with 95% intervals."""
    with style.house_style():
        return _draw(targets)


def _draw(targets: Sequence[Compared]) -> Figure:
    figure = style.new_figure(7.0, 4.6)
    style.title(
        figure, "What each target gives away", "TPR at 1% FPR, baseline and best score; bars: 95% intervals"
    )
    axes = figure.add_axes((0.1, 0.13, 0.86, 0.70))
    best_colour, baseline_colour = style.VIEW_COLOURS[:2]
    for row in targets:
        for tpr, colour, shift in (
            (row.baseline_tpr, baseline_colour, 0.98),
            (row.best_tpr, best_colour, 1.02),
        ):
            if tpr is None:
                continue
            x, y = row.num_params * shift, 100 * formats.center(tpr)
            if isinstance(tpr, Interval):
                axes.plot([x, x], [100 * tpr.low, 100 * tpr.high], color=colour, alpha=0.35, linewidth=4)
            axes.plot([x], [y], "o", color=colour, markersize=6)
        if row.best_tpr is not None:
            height = 100 * formats.center(row.best_tpr)
            axes.annotate(
                row.target, (row.num_params * 1.02, height), (9, -3), textcoords="offset points", fontsize=9
            )
    sizes = [row.num_params for row in targets]
    low, high = min(sizes) / 1.5, max(sizes) * 2.0
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(0, 100)
    style.log_ticks(
        axes.xaxis, low, high, lambda value: f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.4g} M"
    )
    axes.set_xlabel("parameters")
    axes.set_ylabel("TPR at 1% FPR, %")
    style.quiet(axes, grid="both")
    axes.text(0.02, 0.95, "best score", color=best_colour, fontweight="bold", transform=axes.transAxes)
    axes.text(0.02, 0.89, "baseline", color=baseline_colour, fontweight="bold", transform=axes.transAxes)
    return figure
