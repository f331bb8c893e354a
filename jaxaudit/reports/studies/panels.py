"""Studies as panels, one per target: the share of draws that identify P, p-values, or curves of sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxaudit.protocols import get_procedure
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.studies.wording import TITLES, subtitle
from jaxaudit.results import SetRoc, StudiedTarget, StudyPoint, StudyResults

_PANEL = (3.3, 2.6)  # inches
_LEGEND = 1.9
_BEST_SCORES = 2
_SMALLEST_P = 1e-12

Lines = dict[str, list[StudyPoint]]


def panel_figure(results: StudyResults) -> Figure:
    """Two panels per target where p-values are shown, else one."""
    study, targets = results.study, _by_line(results)
    rows = 2 if study in ("p_value", "contamination") else 1
    panel_width, panel_height = _PANEL
    legend = 0.0 if study == "set_membership" else _LEGEND
    below = 1.5 if study == "set_membership" else 0.55
    width = max(panel_width * len(targets) + legend + 0.8, 5.5)
    height = (panel_height if rows == 2 else panel_height * 1.35) * rows + 0.7 + below
    figure = style.new_figure(width, height)
    grid = figure.subplots(rows, len(targets), squeeze=False, sharex="col", sharey="row")
    figure.subplots_adjust(
        left=0.62 / width,
        right=1 - (legend + 0.15) / width,
        top=1 - 0.95 / height,
        bottom=below / height,
        wspace=0.12,
        hspace=0.12,
    )
    style.title(figure, TITLES[study], subtitle(results))
    every_line = [line for _, lines in targets for line in lines]
    for column, (target, lines) in enumerate(targets):
        colours = _colours(study, list(lines) if study == "set_membership" else every_line)
        axes = grid[:, column]
        axes[0].set_title(target)
        if study == "roc":
            _roc_panel(axes[0], _curves(results.targets[column]), colours, results.alpha)
        else:
            if rows == 2:
                _p_panel(axes[0], lines, colours, results)
            _share_panel(axes[-1], lines, colours, results)
        axes[-1].set_xlabel(_x_label(study))
    for row in grid:
        row[0].set_ylabel("true-positive rate" if study == "roc" else "draws that identify P")
    if rows == 2:
        grid[0][0].set_ylabel(f"{_average(results)} p-value")
    if study == "set_membership":  # every target has best scores of its own
        for axes in grid[-1]:
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.17), frameon=False, fontsize=8)
        return figure
    handles = {}
    for axes in grid[-1]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="upper left",
        bbox_to_anchor=(1 - legend / width, 1 - 0.95 / height),
        frameon=False,
        fontsize=8.5,
        handlelength=1.4,
    )
    return figure


def _by_line(results: StudyResults) -> list[tuple[str, Lines]]:
    """[(target, {line: points})]; "p_value" has all targets in one panel, a line each; "roc" no points."""
    if results.study == "p_value":
        return [("", {target.target: list(target.points) for target in results.targets})]
    if results.study == "roc":
        return [(target.target, {line: [] for line in _curves(target)}) for target in results.targets]
    panels = []
    for target in results.targets:
        lines: Lines = {}
        for point in target.points:
            lines.setdefault(point.series, []).append(point)
        if results.study == "set_membership":
            lines = _best_scores(lines)
        panels.append((target.target, lines))
    return panels


def _curves(target: StudiedTarget) -> dict[str, SetRoc]:
    return {f"{curve.n:,} images": curve for curve in target.curves}


def _best_scores(lines: Lines) -> Lines:
    """CDI, and the single scores that identify most over all sizes: so many by maximum, so many by mean."""
    chosen = {"CDI": lines["CDI"]}
    for how in ("maximum", "mean"):
        scores = [line for line in lines if line.endswith(f", {how}")]
        scores.sort(key=lambda line: -sum(point.identified.estimate for point in lines[line]))
        chosen.update({line: lines[line] for line in scores[:_BEST_SCORES]})
    return chosen


def _colours(study: str, lines: Sequence[str]) -> dict[str, Any]:
    """By line: shades where lines are sizes, light = few; else the house colours."""
    names = list(dict.fromkeys(lines))
    if study in ("contamination", "imbalance", "roc"):
        sizes = list(dict.fromkeys(name.removesuffix(", nonmembers") for name in names))
        shades = matplotlib.colormaps["viridis_r"]
        of_size = {size: shades(0.12 + 0.88 * i / max(len(sizes) - 1, 1)) for i, size in enumerate(sizes)}
        return {name: of_size[name.removesuffix(", nonmembers")] for name in names}
    cycle = (*style.VIEW_COLOURS, "#56b4e9", "#e69f00", style.NONMEMBERS)
    return {name: cycle[i % len(cycle)] for i, name in enumerate(names)}


def _x(study: str, point: StudyPoint) -> float:
    return point.num_p if point.ratio is None else point.ratio


def _x_label(study: str) -> str:
    return {
        "contamination": "share of nonmembers in P",
        "imbalance": "|U| / |P|",
        "roc": "false-positive rate",
    }.get(study, "images of P and as many of U")


def _x_axis(axes: Axes, study: str, lines: Lines) -> None:
    values = [_x(study, point) for points in lines.values() for point in points]
    if study == "contamination":
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: formats.level(round(ratio, 2))))
        return
    low, high = min(values) / 1.1, max(values) * 1.1
    axes.set(xscale="log", xlim=(low, high))
    steps = (1, 2, 5) if study == "imbalance" else (1, 3)
    ticks = [step * 10.0**k for k in range(-3, 7) for step in steps]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:g}" if study == "imbalance" else formats.count(round(x)))
    )


def _share_panel(axes: Axes, lines: Lines, colours: Mapping[str, Any], results: StudyResults) -> None:
    study = results.study
    style.quiet(axes, grid="both")
    _x_axis(axes, study, lines)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(round(rate, 2))))
    axes.axhline(results.alpha, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    if study in ("p_value", "access"):
        axes.axhline(results.power, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (1, 2)))
    for name, points in lines.items():
        x = [_x(study, point) for point in points]
        shares = [point.identified.estimate for point in points]
        axes.plot(
            x,
            shares,
            color=colours[name],
            marker="o",
            markersize=3,
            label="_" * name.endswith(", nonmembers") + name,
            linestyle=_linestyle(name),
            linewidth=2.6 if name == "CDI" else 1.5,
            gid=f"share-{name}",
        )


def _linestyle(name: str) -> Any:
    return (0, (1.5, 1.5)) if name.endswith((", nonmembers", ", maximum")) else "-"


def _average(results: StudyResults) -> str:
    return "mean" if get_procedure(results.procedure).criterion == "mean_p" else "median"


def _p_panel(axes: Axes, lines: Lines, colours: Mapping[str, Any], results: StudyResults) -> None:
    study, alpha = results.study, results.alpha

    def average(point: StudyPoint) -> float:
        p = point.mean_p if _average(results) == "mean" else (point.p_quantiles or {}).get(0.5)
        return 1.0 if p is None else p

    style.quiet(axes, grid="both")
    _x_axis(axes, study, lines)
    averages = {name: [average(point) for point in points] for name, points in lines.items()}
    bottom = max(_SMALLEST_P, min([alpha / 10, *(p for values in averages.values() for p in values)]))
    axes.set(yscale="log", ylim=(bottom / 1.5, 1.5))
    style.log_ticks(
        axes.yaxis,
        bottom,
        1,
        lambda p: f"{p:g}" if p >= 0.001 else formats.power_of_ten(round(math.log10(p))),
    )
    axes.axhline(alpha, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    for name, points in lines.items():
        x = [_x(study, point) for point in points]
        drawn = [max(p, bottom / 1e3) for p in averages[name]]
        axes.plot(x, drawn, color=colours[name], linewidth=1.5, gid=f"p-{name}")


def _roc_panel(axes: Axes, curves: Mapping[str, SetRoc], colours: Mapping[str, Any], alpha: float) -> None:
    style.quiet(axes, grid="both")
    low = 1e-3
    axes.set(xscale="log", yscale="log", xlim=(low, 1.05), ylim=(low, 1.05))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0.001, 0.01, 0.1, 1]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(rate)))
    axes.plot([low, 1], [low, 1], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.axvline(alpha, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    for name, curve in curves.items():
        axes.plot(
            [max(fpr, low / 10) for fpr in curve.fpr],
            [max(tpr, low / 10) for tpr in curve.tpr],
            color=colours[name],
            linewidth=1.5,
            drawstyle="steps-post",
            label=name,
            gid=f"curve-{name}",
        )
