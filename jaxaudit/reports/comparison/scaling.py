"""What leakage goes with, over targets: a panel per quantity, a point per target."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jaxaudit.reports.comparison.rows import AGAINST, LEAKS, Compared, correlation
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import ComparisonResults, Correlation, Interval, MeanStd
from jaxaudit.results.comparison import Against, Leak

_SHOWN: tuple[Leak, ...] = ("auc", "tpr")
_Shown = tuple[Compared, float, Interval | MeanStd]


def scaling_figure(results: ComparisonResults) -> Figure:
    """AUC and TPR of the best score (rows) against whatever they were correlated with (columns).

    Targets of as many parameters have one colour. Lines join them over training steps, and elsewhere those of
    as many training steps.
    """
    found = {(one.leak, one.against): one for one in results.correlations}
    leaks: list[Leak] = [leak for leak in _SHOWN if any(key[0] == leak for key in found)]
    against: list[Against] = [name for name in AGAINST if any(key[1] == name for key in found)]
    sizes = sorted({one.num_params for one in results.targets})
    colours = {size: style.VIEW_COLOURS[i % len(style.VIEW_COLOURS)] for i, size in enumerate(sizes)}
    with style.house_style():
        width, height = max(0.85 + 2.25 * len(against), 5.2), 1.5 + 1.95 * len(leaks)
        figure = style.new_figure(width, height)
        panels = figure.subplots(len(leaks), len(against), squeeze=False, sharex="col", sharey="row")
        figure.subplots_adjust(
            left=0.68 / width,
            right=1 - 0.15 / width,
            top=1 - 1.12 / height,
            bottom=0.5 / height,
            wspace=0.1,
            hspace=0.36,
        )
        for row, leak in zip(panels, leaks, strict=True):
            for axes, name in zip(row, against, strict=True):
                _panel(axes, results.targets, colours, found.get((leak, name)), leak, name)
            row[0].set_ylabel(LEAKS[leak])
        for axes, name in zip(panels[-1], against, strict=True):
            axes.set_xlabel(AGAINST[name])
        style.title(
            figure, "What leakage goes with", "best score of each target, ρ: Spearman, with 95% intervals"
        )
        left = 0.1
        for size in sizes if len(sizes) <= len(style.VIEW_COLOURS) else ():
            text = f"{formats.count(size)} parameters"
            figure.text(
                left / width, 1 - 0.62 / height, text, color=colours[size], fontweight="bold", va="top"
            )
            left += 0.3 + 0.085 * len(text)
    return figure


def _panel(
    axes: Axes,
    targets: Sequence[Compared],
    colours: dict[int, str],
    found: Correlation | None,
    leak: Leak,
    against: Against,
) -> None:
    shown = [
        (one, x, y)
        for one in sorted(targets, key=lambda one: (one.num_params, one.training_steps or 0))
        if (x := _place(one, against)) is not None and (y := _leak(one, leak)) is not None
    ]
    for alike in _alike(shown, against):
        colour = colours[alike[0][0].num_params] if against == "training_steps" else style.NONMEMBERS
        axes.plot(
            [x for _, x, _ in alike], [formats.center(y) for _, _, y in alike], color=colour, linewidth=0.9
        )
    for one, x, y in shown:
        colour = colours[one.num_params]
        axes.plot(x, formats.center(y), "o", color=colour, markersize=4)
        if against == "training_steps":  # elsewhere many stand above one another
            axes.plot([x, x], formats.limits(y), color=colour, alpha=0.25, linewidth=3)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    style.log_ticks(axes.xaxis, low, high, _brief)
    axes.set_ylim(0.4 if leak == "auc" else 0, 1.02)
    if leak == "tpr":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.level(value)))
    if found is not None:
        words = f"ρ = {correlation(found.spearman)}"
        if found.partial is not None:
            words += f"\nelse alike {correlation(found.partial)}"
        axes.set_title(words, fontsize=7.5)
    style.quiet(axes, grid="both")


def _alike(shown: Sequence[_Shown], against: Against) -> list[list[_Shown]]:
    """What a line joins: targets of one size over training steps, of as many steps over anything else."""
    lines: dict[int | None, list[_Shown]] = {}
    for each in shown:
        line = each[0].num_params if against == "training_steps" else each[0].training_steps
        lines.setdefault(line, []).append(each)
    return [sorted(line, key=lambda each: each[1]) for key, line in lines.items() if key is not None]


def _place(one: Compared, against: Against) -> float | None:
    generation = one.generation
    return {
        "parameters": one.num_params,
        "training_steps": one.training_steps,
        "gflop": None if generation is None else generation.gflop,
        "seconds": None if generation is None else generation.seconds,
    }[against]


def _leak(one: Compared, leak: Leak) -> Interval | MeanStd | None:
    return one.auc if leak == "auc" else one.best_tpr


def _brief(value: float) -> str:
    """200000 -> "200 k"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
