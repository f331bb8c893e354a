"""How often each procedure accuses where nothing was learned, a row per simulation."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.studies.wording import TITLES
from jaxaudit.results import NullStudyResults


def null_figure(results: NullStudyResults) -> Figure:
    """One row per setting: the share accused with its interval, and that of p <= alpha where it differs."""
    rates = results.rates
    height = 0.2 * len(rates) + 1.5
    figure = style.new_figure(7.2, height)
    axes = figure.add_axes((0.37, 0.5 / height, 0.6, 1 - 1.45 / height))
    style.title(
        figure,
        TITLES[results.study],
        f"{formats.count(results.repetitions)} simulated data sets each, "
        f"α = {formats.level(results.alpha)} (dashed)",
    )
    procedures = list(dict.fromkeys(rate.procedure for rate in rates))
    colours = dict(zip(procedures, ("#0072b2", "#009e73", "#d55e00"), strict=False))
    for row, rate in enumerate(rates):
        y, colour = len(rates) - row, colours[rate.procedure]
        accused, small = rate.accused, rate.small_p
        axes.plot([accused.low, accused.high], [y, y], color=colour, linewidth=2.4, alpha=0.4)
        axes.plot(accused.estimate, y, "o", color=colour, markersize=4.5)
        if small.estimate != accused.estimate:
            axes.plot(small.estimate, y, "o", color=colour, markersize=4.5, markerfacecolor="none")
    axes.axvline(results.alpha, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(
        range(len(rates), 0, -1),
        [f"{rate.procedure}, {rate.kind.replace('_', ' ')}, {rate.num_p} vs {rate.num_u}" for rate in rates],
    )
    axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(round(rate, 3))))
    axes.set_xlabel("identified (dots, 95% intervals); p ≤ α, whichever mean is higher (circles)")
    style.quiet(axes, grid="x")
    return figure
