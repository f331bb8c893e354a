"""Leakage against quality: what each change of a target buys and costs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.mitigation.rows import WORDS, change_name, strength
from jaxaudit.results import ChangedTarget, Interval, MitigationResults

_COLOURS = dict(zip(list(WORDS)[1:], style.VIEW_COLOURS, strict=True))
_LEAKS = {"rate": "share of candidates extracted", "tpr": "TPR at 1% FPR"}
_QUALITIES = {"heldout_loss": "loss on held-out images", "frechet": "Fréchet distance of completions"}


def trade_off(results: MitigationResults) -> Figure:
    """Leakage (rows: extraction, membership) against loss of quality (columns), a point per change."""
    records = results.records
    qualities, leaks = (
        [name for name in names if all(getattr(one.measured, name) for one in records)]
        for names in (_QUALITIES, _LEAKS)
    )
    with style.house_style():
        width, height = 0.6 + 3.6 * len(qualities), 1.15 + 2.35 * len(leaks)
        figure = style.new_figure(width, height)
        panels = figure.subplots(len(leaks), len(qualities), squeeze=False, sharex="col", sharey="row")
        figure.subplots_adjust(
            left=0.75 / width,
            right=0.98,
            top=1 - 0.8 / height,
            bottom=0.48 / height,
            wspace=0.1,
            hspace=0.12,
        )
        for row, leak in zip(panels, leaks, strict=True):
            for axes, quality in zip(row, qualities, strict=True):
                _panel(axes, records, leak, quality, labelled=leak == leaks[0])
            row[0].set_ylabel(_LEAKS[leak])
        for axes, quality in zip(panels[-1], qualities, strict=True):
            axes.set_xlabel(f"{_QUALITIES[quality]} (right: worse)")
        style.title(figure, _title(records), "")
        left = 0.1
        for kind in dict.fromkeys(one.change.kind for one in records):
            figure.text(
                left / width,
                1 - 0.43 / height,
                WORDS[kind],
                color=_COLOURS.get(kind, style.INK),
                fontsize=9,
                fontweight="bold",
                va="top",
            )
            left += 0.25 + 0.083 * len(WORDS[kind])
    return figure


def _panel(axes: Axes, records: Sequence[ChangedTarget], leak: str, quality: str, *, labelled: bool) -> None:
    """Points with their intervals; a line leads from the unchanged target through growing strengths."""
    before = [one for one in records if one.change.kind == "none"]
    series = dict.fromkeys((one.change.kind, one.change.seed) for one in records)
    first_seeds = dict(reversed(series))
    for kind, seed in series:
        own = [one for one in records if (one.change.kind, one.change.seed) == (kind, seed)]
        path = [(_of(one, quality).estimate, _of(one, leak).estimate) for one in before + own]
        colour = _COLOURS.get(kind, style.INK)
        axes.plot(*zip(*path, strict=True), color=colour, linewidth=0.9, alpha=0.6)
        for one in own:
            x, y = _of(one, quality), _of(one, leak)
            bar = {"color": colour, "alpha": 0.22, "linewidth": 2.5}
            axes.plot([x.low, x.high], [y.estimate] * 2, **bar)
            axes.plot([x.estimate] * 2, [y.low, y.high], **bar)
            place = (x.estimate, y.estimate)
            axes.plot(*place, "D" if kind == "none" else "o", color=colour, markersize=4.5)
            if labelled and kind != "none" and seed == first_seeds[kind]:
                text = strength(one.change)
                axes.annotate(text, place, (4, 4), textcoords="offset points", fontsize=7.5, color=colour)
    axes.set_ylim(-0.03, 1.06)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.level(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.12)
    style.quiet(axes, grid="both")


def _of(one: ChangedTarget, name: str) -> Interval:
    """A quantity by name, of those there were enough images for."""
    return getattr(one.measured, name)


def _title(records: Sequence[ChangedTarget]) -> str:
    before = next(one for one in records if one.change.kind == "none")
    after = min(
        (one for one in records if one.change.kind != "none"),
        key=lambda one: one.measured.extracted,
        default=before,
    )
    return (
        f"Extracted images: {formats.count(before.measured.extracted)} before, "
        f"{formats.count(after.measured.extracted)} after {change_name(after.change)}"
    )
