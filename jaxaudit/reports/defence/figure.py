"""Leakage against held-out loss: a curve per defence, for an attacker fixed before and one who adapts."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxaudit.reports.defence.rows import family, headline, strength
from jaxaudit.reports.kit import style
from jaxaudit.results import DefencePoint, DefenceResults

_COLOURS = (*style.VIEW_COLOURS, "#56b4e9", "#e69f00", "#882255", "#44aa99")
_WIDTH = 8.4
_ROOM = 0.05  # of an axis, between points that are named
Place = tuple[float, float]
"""Held-out loss, and what leaks, %."""
_LEAKS = {
    "tpr": "members found, % (TPR at 1% FPR)",
    "extracted": "training images that come back, %",
}


def defence_curves(results: DefenceResults) -> Figure:
    """TPR, and of tokens extraction, against held-out loss; A0 faint, A2 solid, rings mark the frontier."""
    before, *others = results.points
    families = list(dict.fromkeys(family(point) for point in others))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(families)}
    leaks = [leak for leak in _LEAKS if getattr(before, leak)]
    columns = 4
    legend = -(-(len(families) + 1) // columns)
    height = 4.35 + 0.2 * legend
    with style.house_style():
        figure = style.new_figure(_WIDTH, height)
        rates = [rate for point in results.points for leak in leaks for rate in getattr(point, leak).values()]
        top_rate = 100 * max(rate.high for rate in rates)
        losses = sorted(point.heldout_loss.estimate for point in results.points)
        panels = figure.subplots(1, len(leaks), squeeze=False, sharey=True)[0]
        top = 1 - (0.95 + 0.2 * legend) / height
        figure.subplots_adjust(left=0.075, right=0.985, top=top, bottom=0.5 / height, wspace=0.14)
        for axes, leak in zip(panels, leaks, strict=True):
            taken = [_mark(axes, before, leak, style.INK)]
            for place, name in enumerate(families):
                own = [point for point in others if family(point) == name]
                _curve(axes, [before, *own], leak, colours[name])
                for point in own:
                    where = _mark(axes, point, leak, colours[name])
                    if _stands_apart(where, taken, (losses[-1] - losses[0], top_rate)):
                        taken.append(where)
                        _name(axes, strength(point), where, colours[name], below=place % 2 == 1)
            axes.set_ylim(-0.09 * top_rate, 1.08 * top_rate)
            axes.margins(x=0.12)
            axes.xaxis.set_major_locator(MaxNLocator(6))
            axes.set_xlabel("loss on held-out images (right: worse)")
            axes.set_title(_LEAKS[leak], color=style.SOFT_INK)
            style.quiet(axes, grid="both")
        style.title(
            figure,
            headline(results),
            f"{results.target.name}; solid: the attacker knows the defence, faint: was fixed before; "
            "ring: none has less of both",
        )
        for i, (name, colour) in enumerate([("undefended", style.INK), *colours.items()]):
            figure.text(
                0.1 / _WIDTH + (i % columns) * 0.235,
                1 - (0.66 + 0.2 * (i // columns)) / height,
                name,
                color=colour,
                fontsize=9,
                fontweight="bold",
                va="top",
            )
    return figure


def _curve(axes: Axes, points: Sequence[DefencePoint], leak: str, colour: str) -> None:
    """From the undefended target through growing strengths, at A0 and at A2."""
    x = [point.heldout_loss.estimate for point in points]
    for level, alpha, width in (("A0", 0.35, 1.0), ("A2", 1.0, 1.8)):
        y = [100 * getattr(point, leak)[level].estimate for point in points]
        axes.plot(x, y, color=colour, alpha=alpha, linewidth=width)
        axes.plot(x[1:], y[1:], "o", color=colour, alpha=alpha, markersize=3 if level == "A0" else 4.5)


def _stands_apart(place: Place, taken: Sequence[Place], spans: Place) -> bool:
    """Whether there is room for its name: it is not among those that changed next to nothing."""
    return all(
        max(abs(x - y) / (span or 1) for x, y, span in zip(place, other, spans, strict=True)) > _ROOM
        for other in taken
    )


def _name(axes: Axes, text: str, place: Place, colour: str, *, below: bool) -> None:
    offset = (6, -11 if below else 5)
    axes.annotate(text, place, offset, textcoords="offset points", fontsize=7.5, color=colour)


def _mark(axes: Axes, point: DefencePoint, leak: str, colour: str) -> Place:
    """The intervals at A2, and a ring on the frontier; returns where."""
    x, y = point.heldout_loss, getattr(point, leak)["A2"]
    place = x.estimate, 100 * y.estimate
    bar = {"color": colour, "alpha": 0.22, "linewidth": 3}
    axes.plot([x.low, x.high], [place[1]] * 2, **bar)
    axes.plot([place[0]] * 2, [100 * y.low, 100 * y.high], **bar)
    axes.plot(*place, "o", color=colour, markersize=4.5)
    if point.frontier and leak == "tpr":
        axes.plot(*place, "o", markersize=10, markerfacecolor="none", color=colour, markeredgewidth=1.3)
    return place
