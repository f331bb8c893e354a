"""Figures of the CDI studies, one panel per target; drawn from what `studies` saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxaudit.reports.kit import formats, style

Results = Mapping[str, Any]
_PANEL = (3.3, 2.6)  # inches
_LEGEND = 1.9
_BEST_SCORES = 2
_SMALLEST_P = 1e-12
_TITLES = {
    "p_value": "How many images it takes to identify P",
    "contamination": "P with nonmembers in it",
    "imbalance": "More or fewer images of U than of P",
    "access": "What access to the model is worth",
    "features": "Which attacks carry the test",
    "set_membership": "Identifying a set: CDI against single scores",
    "roc": "Sets of members against sets of nonmembers",
    "false_positives": "How often P is identified where nothing was learned",
}


def study_figure(results: Results) -> Figure:
    """The figure of one study; `results` is what `jaxaudit.audits.studies` returns, or its JSON.

    Most show the share of draws that identify P, two of them below the p-value (median; mean under "paper").
    "features" is a table in colour, "roc" a set of curves, "false_positives" a row per simulation.
    """
    with style.house_style():
        if results["study"] == "false_positives":
            return _null_figure(results)
        if results["study"] == "features":
            return _table_figure(results)
        return _panel_figure(results)


def _panel_figure(results: Results) -> Figure:
    study, targets = results["study"], _by_line(results)
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
    style.title(figure, _TITLES[study], _subtitle(results))
    every_line = [line for _, lines in targets for line in lines]
    for column, (target, lines) in enumerate(targets):
        colours = _colours(study, list(lines) if study == "set_membership" else every_line)
        axes = grid[:, column]
        axes[0].set_title(target)
        if study == "roc":
            _roc_panel(axes[0], lines, colours, results["alpha"])
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


Lines = dict[str, list[Mapping[str, Any]]]


def _by_line(results: Results) -> list[tuple[str, Lines]]:
    """[(target, {line: points or curves})]; "p_value" has all targets in one panel, a line each."""
    study = results["study"]
    if study == "p_value":
        return [("", {target["target"]: target["points"] for target in results["targets"]})]
    if study == "roc":
        return [
            (target["target"], {f"{curve['n']:,} images": [curve] for curve in target["curves"]})
            for target in results["targets"]
        ]
    panels = []
    for target in results["targets"]:
        lines: Lines = {}
        for point in target["points"]:
            lines.setdefault(point["series"], []).append(point)
        if study == "set_membership":
            lines = _best_scores(lines)
        panels.append((target["target"], lines))
    return panels


def _best_scores(lines: Lines) -> Lines:
    """CDI, and the single scores that identify most over all sizes: so many by maximum, so many by mean."""
    chosen = {"CDI": lines["CDI"]}
    for how in ("maximum", "mean"):
        scores = [line for line in lines if line.endswith(f", {how}")]
        scores.sort(key=lambda line: -sum(point["identified"]["estimate"] for point in lines[line]))
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


def _x(study: str, point: Mapping[str, Any]) -> float:
    return point["ratio"] if study in ("contamination", "imbalance") else point["num_p"]


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


def _share_panel(axes: Axes, lines: Lines, colours: Mapping[str, Any], results: Results) -> None:
    study = results["study"]
    style.quiet(axes, grid="both")
    _x_axis(axes, study, lines)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(round(rate, 2))))
    axes.axhline(results["alpha"], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    if study in ("p_value", "access"):
        axes.axhline(results["power"], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (1, 2)))
    for name, points in lines.items():
        x = [_x(study, point) for point in points]
        shares = [point["identified"]["estimate"] for point in points]
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


def _average(results: Results) -> str:
    return "mean" if results["procedure"] == "paper" else "median"


def _p_panel(axes: Axes, lines: Lines, colours: Mapping[str, Any], results: Results) -> None:
    study, alpha = results["study"], results["alpha"]

    def average(point: Mapping[str, Any]) -> float:
        return point["mean_p"] if _average(results) == "mean" else point["p_quantiles"]["0.5"]

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


def _roc_panel(axes: Axes, lines: Lines, colours: Mapping[str, Any], alpha: float) -> None:
    style.quiet(axes, grid="both")
    low = 1e-3
    axes.set(xscale="log", yscale="log", xlim=(low, 1.05), ylim=(low, 1.05))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0.001, 0.01, 0.1, 1]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(rate)))
    axes.plot([low, 1], [low, 1], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.axvline(alpha, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    for name, (curve,) in lines.items():
        axes.plot(
            [max(fpr, low / 10) for fpr in curve["fpr"]],
            [max(tpr, low / 10) for tpr in curve["tpr"]],
            color=colours[name],
            linewidth=1.5,
            drawstyle="steps-post",
            label=name,
            gid=f"curve-{name}",
        )


def _table_figure(results: Results) -> Figure:
    """Rows are parts of the features, columns sizes, cells the share of draws that identify P."""
    targets = results["targets"]
    most = max(len(target["sets"]) for target in targets)
    widths = [0.42 * len({point["num_p"] for point in target["points"]}) for target in targets]
    label = 0.3 + 0.068 * max(len(name) for target in targets for name in target["sets"])
    width = max(0.2 + sum(widths) + (label + 0.25) * len(targets), 6.2)
    height = 0.24 * most + 1.9
    figure = style.new_figure(width, height)
    style.title(figure, _TITLES["features"], _subtitle(results))
    left = 0.1
    for target, panel in zip(targets, widths, strict=True):
        sets = list(target["sets"])
        sizes = sorted({point["num_p"] for point in target["points"]})
        shares = [[math.nan] * len(sizes) for _ in sets]
        for point in target["points"]:
            shares[sets.index(point["series"])][sizes.index(point["num_p"])] = point["identified"]["estimate"]
        left += label
        axes = figure.add_axes(
            (left / width, 0.85 / height, panel / width, 0.24 * len(sets) / height),
            gid=f"table-{target['target']}",
        )
        left += panel + 0.25
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, values in enumerate(shares):
            for column, share in enumerate(values):
                axes.text(
                    column,
                    row,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color=style.PAPER if share > 0.6 else style.INK,
                )
        axes.set(title=target["target"], xlabel="images of P and as many of U", yticks=range(len(sets)))
        axes.set_xticks(range(len(sizes)), [formats.count(n) for n in sizes], rotation=45, ha="right")
        axes.set_yticklabels([f"{name} ({len(target['sets'][name])})" for name in sets])
        axes.grid(False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _null_figure(results: Results) -> Figure:
    """One row per setting: the share accused with its interval, and for "paper" the share of p <= alpha."""
    rates = results["rates"]
    height = 0.2 * len(rates) + 1.5
    figure = style.new_figure(7.2, height)
    axes = figure.add_axes((0.37, 0.5 / height, 0.6, 1 - 1.45 / height))
    style.title(figure, _TITLES["false_positives"], _subtitle(results))
    procedures = list(dict.fromkeys(rate["procedure"] for rate in rates))
    colours = dict(zip(procedures, ("#0072b2", "#009e73", "#d55e00"), strict=False))
    for row, rate in enumerate(rates):
        y, colour = len(rates) - row, colours[rate["procedure"]]
        accused, small = rate["accused"], rate["small_p"]
        axes.plot([accused["low"], accused["high"]], [y, y], color=colour, linewidth=2.4, alpha=0.4)
        axes.plot(accused["estimate"], y, "o", color=colour, markersize=4.5)
        if small["estimate"] != accused["estimate"]:
            axes.plot(small["estimate"], y, "o", color=colour, markersize=4.5, markerfacecolor="none")
    axes.axvline(results["alpha"], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(
        range(len(rates), 0, -1),
        [
            f"{rate['procedure']}, {rate['kind'].replace('_', ' ')}, {rate['num_p']} vs {rate['num_u']}"
            for rate in rates
        ],
    )
    axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(round(rate, 3))))
    axes.set_xlabel("identified (dots, 95% intervals); p ≤ α, whichever mean is higher (circles)")
    style.quiet(axes, grid="x")
    return figure


def _subtitle(results: Results) -> str:
    alpha = formats.level(results["alpha"])
    if results["study"] == "false_positives":
        return f"{formats.count(results['repetitions'])} simulated data sets each, α = {alpha} (dashed)"
    what = {
        "features": "% of draws that identify P, by features used (number of them)",
        "roc": "1 − p as the score of a set",
        "set_membership": "maximum (dotted) and mean of the best scores, thresholds from nonmember sets",
        "imbalance": "dotted: P of nonmembers",
    }.get(results["study"], "")
    draws = (
        f"{formats.count(results['repetitions'])} draws each, procedure {results['procedure']!r}, α = {alpha}"
    )
    return f"{what}; {draws}" if what else draws
