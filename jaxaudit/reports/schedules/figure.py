"""True-positive rate and AUC of every schedule and error, with their intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.schedules.rows import Line, headline, other_lines, schedule_lines
from jaxaudit.results import Interval, Leakage, ScheduleResults

_COLOURS: dict[str, str] = dict(zip(("model", "latent", "pixel", "all"), style.VIEW_COLOURS, strict=True))
_APART = 0.24  # of the errors of a line, in lines
_LINE, _HEAD, _FOOT = 0.29, 1.0, 0.5  # inches
_NAMES, _LABELS, _GAP = 1.0, 4.1, 0.35


def leakage_by_schedule(results: ScheduleResults) -> Figure:
    """A line per schedule and thing beside; a dot and a bar per error, TPR to the left, AUC to the right."""
    first, others = schedule_lines(results), other_lines(results)
    lines = [*first, *others]
    width, height = 10.2, _HEAD + _FOOT + _LINE * (len(lines) + 1)
    places = [row if row < len(first) else row + 1 for row in range(len(lines))]
    with style.house_style():
        figure = style.new_figure(width, height)
        panel = (width - _LABELS - _GAP - 0.15) / 2
        left, right = (
            figure.add_axes(
                (
                    (_LABELS + i * (panel + _GAP)) / width,
                    _FOOT / height,
                    panel / width,
                    (height - _HEAD - _FOOT) / height,
                )
            )
            for i in range(2)
        )
        _draw(left, lines, places, lambda found: found.tpr, 100.0, 100 * results.fpr)
        _draw(right, lines, places, lambda found: found.auc, 1.0, 0.5)
        left.set_xlabel(f"members found at {formats.level(results.fpr)} false positives, %")
        right.set_xlabel("AUC")
        for line, place in zip(lines, places, strict=True):
            _label(left, line.name, place, _NAMES, ha="right", fontweight="bold")
            _label(left, line.words, place, _NAMES + 0.09, color=style.SOFT_INK)
        for column, (error, colour) in enumerate(_COLOURS.items()):
            if any(error in line.found for line in lines):
                corner = (_LABELS + 0.02 + 0.72 * column) / width, 1 - 0.78 / height
                figure.text(*corner, error, color=colour, fontweight="bold")
        tested = results.num_tested
        style.title(
            figure,
            headline(results),
            f"{results.target}: {formats.count(tested['members'])} members, "
            f"{formats.count(tested['nonmembers'])} nonmembers; best step chosen on as many others; bars: "
            f"{formats.level(results.confidence)} confidence; dashed: chance",
        )
    return figure


def _label(axes: Axes, text: str, place: float, inches: float, **look: Any) -> None:
    """Text beside the axes, so far from the left edge of the figure."""
    axes.annotate(
        text,
        (0, place),
        (72 * (inches - _LABELS), 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        **look,
    )


def _draw(
    axes: Axes,
    lines: list[Line],
    places: list[int],
    of: Callable[[Leakage], Interval],
    unit: float,
    chance: float,
) -> None:
    axes.axvline(chance, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (3, 2)))
    for line, place in zip(lines, places, strict=True):
        for i, (error, found) in enumerate(line.found.items()):
            value, y = of(found), place + _APART * (i - (len(line.found) - 1) / 2)
            axes.plot([unit * value.low, unit * value.high], [y, y], color=_COLOURS[error], linewidth=1.3)
            axes.plot([unit * value.estimate], [y], "o", color=_COLOURS[error], markersize=3.2)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    style.quiet(axes, grid="x")
