"""Figures of a localisation: where UnitMem is high, which pictures fire the units, how stable that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.paths import Location, Place, as_place, make_folder
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import Localization, LocalizationResults

_COLOURS = "cividis"  # even in lightness, the same to colour-blind readers
_MOST_NUMBERS = 80  # cells of a map with their number inside
_MOST_CLASSES = 20


def draw_localization(results: LocalizationResults, directory: Location) -> list[Place]:
    """Writes each figure as PNG (200 dpi) and SVG; the same results give the same bytes.

    Returns:
      The files written to `directory`, which is created if missing.
    """
    directory = make_folder(as_place(directory))
    return [
        path
        for name, figure in localization_figures(results).items()
        for path in style.save(figure, directory, name)
    ]


def localization_figures(results: LocalizationResults) -> dict[str, Figure]:
    """{name: figure} of what there is to draw: "map", "classes", "agreement"."""
    found = results.localization
    with style.house_style():
        figures = {"map": unit_map(found)}
        if len(found.classes) > 1:
            figures["classes"] = classes(found)
        if len(found.agreement) > 1:
            figures["agreement"] = agreement(found)
    return figures


def unit_map(found: Localization) -> Figure:
    """Mean UnitMem, and the share of units that are top, per stage and hidden layer, or per layer alone."""
    top = formats.level(found.top)
    panels = (
        ("mean UnitMem", found.mean, lambda value: formats.decimal(value, 2)),
        (f"share of units in the top {top}", found.top_share, formats.percent),
    )
    several = len(found.stages) > 1
    axis, columns = _columns(found.layers)
    draw, height = (_heat, 1.4 + 0.27 * len(found.stages)) if several else (_bars, 3.2)
    figure = style.new_figure(8.6, height)
    for i, (label, values, number) in enumerate(panels):
        axes = figure.add_axes((0.085 + 0.485 * i, 0.5 / height, 0.37, (height - 1.4) / height))
        draw(axes, values, found.stages if i == 0 else [""] * len(found.stages), columns, number)
        axes.set_title(label)
        axes.set_xlabel(axis)
    style.title(
        figure,
        _map_title(found),
        f"{formats.count(len(found.layers))} layers, {formats.count(sum(found.widths))} hidden units, "
        f"{formats.count(found.num_pictures)} pictures",
    )
    return figure


def _map_title(found: Localization) -> str:
    stage, layer = max(
        ((s, k) for s in range(len(found.stages)) for k in range(len(found.layers))),
        key=lambda cell: found.top_share[cell[0]][cell[1]],
    )
    place = found.layers[layer]
    if len(found.stages) > 1:
        place = f"{found.stages[stage]}, {place}"
    return f"Units that answer to one picture alone are most common in {place}"


def _columns(layers: Sequence[str]) -> tuple[str, list[str]]:
    """Labels of the axis of layers: "block" and 0, 1, ... where they are called so, else their places."""
    parts = [name.rpartition(" ") for name in layers]
    if len({kind for kind, *_ in parts}) == 1 and all(number.isdecimal() for *_, number in parts):
        return parts[0][0], [number for *_, number in parts]
    return "hidden layer, in order", [str(i) for i in range(len(layers))]


def _heat(
    axes: Axes,
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    number: Callable[[float], str],
) -> None:
    """A map of stages (down) by layers (across), with numbers where they fit."""
    num_rows, num_columns = len(values), len(values[0])
    low, high = min(map(min, values)), max(map(max, values))
    mesh = axes.pcolormesh(values, cmap=_COLOURS, vmin=low, vmax=max(high, low + 1e-9), linewidth=0.4)
    mesh.set_edgecolor("face")
    axes.invert_yaxis()
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks([row + 0.5 for row in range(num_rows)], rows)
    every = 1 + num_columns // 12
    axes.set_xticks([c + 0.5 for c in range(0, num_columns, every)], columns[::every])
    if num_rows * num_columns <= _MOST_NUMBERS:
        for row in range(num_rows):
            for column in range(num_columns):
                value = values[row][column]
                dark = value < (low + high) / 2
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    number(value),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
    else:
        colour_bar = axes.inset_axes((1.015, 0, 0.02, 1))
        bar = axes.figure.colorbar(mesh, cax=colour_bar)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=7.5)
        bar.ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: number(value)))


def _bars(
    axes: Axes,
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    number: Callable[[float], str],
) -> None:
    """One bar per layer, of the only stage."""
    del rows
    heights = values[0]
    axes.bar(range(len(heights)), heights, width=0.72, color=style.VIEW_COLOURS[0])
    axes.set_ylim(0, 1.18 * max(*heights, 1e-9))
    axes.set_xlim(-0.6, len(heights) - 0.4)
    every = 1 + len(heights) // 12
    axes.set_xticks(range(0, len(heights), every), columns[::every])
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
    style.quiet(axes, grid="y")
    if len(heights) <= 12:
        for place, height in enumerate(heights):
            axes.annotate(
                number(height), (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=8
            )


def classes(found: Localization) -> Figure:
    """Share of the top units by the class of the picture that fires them, beside that of the pictures."""
    rows = sorted(found.classes, key=lambda row: -row.top_units)[:_MOST_CLASSES]
    height = 1.15 + 0.22 * len(rows)
    figure = style.new_figure(6.4, height)
    axes = figure.add_axes((0.12, 0.5 / height, 0.84, (height - 1.15) / height))
    places = range(len(rows))
    axes.barh(places, [row.top_units for row in rows], height=0.66, color=style.VIEW_COLOURS[0])
    axes.plot(
        [row.pictures for row in rows], places, "|", color=style.INK, markersize=11, markeredgewidth=1.6
    )
    axes.set_yticks(places, [f"class {row.label}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(max(row.top_units, row.pictures) for row in rows))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: formats.level(value)))
    axes.set_xlabel("bars: share of the top units; marks: share of the pictures")
    style.quiet(axes, grid="x")
    listed = "" if len(rows) == len(found.classes) else f", the first {len(rows)} of {len(found.classes)}"
    style.title(
        figure,
        f"Pictures of class {rows[0].label} fire {formats.percent(rows[0].top_units)} of the top units",
        f"Classes of the pictures that fire the top {formats.level(found.top)} of units{listed}",
    )
    return figure


def agreement(found: Localization) -> Figure:
    """Rank correlation and overlap of every subset with the largest one, over the number of pictures."""
    rows = found.agreement
    figure = style.new_figure(6.4, 3.4)
    axes = figure.add_axes((0.09, 0.155, 0.87, 0.64))
    sizes = [row.size for row in rows]
    lines: list[tuple[str, str, Any]] = [
        ("spearman", "Spearman correlation of UnitMem", style.VIEW_COLOURS[0]),
        ("overlap", f"share of top {formats.level(found.top)} units in common", style.VIEW_COLOURS[1]),
    ]
    for name, _, colour in lines:
        axes.plot(sizes, [getattr(row, name) for row in rows], "o-", color=colour, markersize=5)
    low = min(0.0, *(getattr(row, name) for row in rows for name, _, _ in lines))
    axes.set_ylim(low, 1.08)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.FixedLocator(sizes))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xticks(
        sizes, [f"{formats.level(row.subset)}\n{formats.count(row.size)}" for row in rows], minor=False
    )
    axes.set_xlabel("subset: share and number of pictures")
    for place, (_, label, colour) in enumerate(lines):
        axes.text(
            0.98,
            0.14 - 0.08 * place,
            label,
            color=colour,
            fontweight="bold",
            ha="right",
            transform=axes.transAxes,
        )
    style.quiet(axes, grid="y")
    style.title(
        figure,
        f"{formats.level(rows[0].subset)} of the pictures rank the units with a correlation of "
        f"{formats.decimal(rows[0].spearman, 2)}",
        f"Agreement of smaller subsets with the largest, {formats.count(sizes[-1])} pictures",
    )
    return figure
