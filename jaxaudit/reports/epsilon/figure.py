"""What guesses show, against how many canaries are guessed about."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.reports.epsilon.rows import epsilon, headline
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import EpsilonResults


def shown_epsilon(results: EpsilonResults) -> Figure:
    """The bound on the tuning half for every number of guesses tried, and the one measured on the other."""
    bound = results.bound
    with style.house_style():
        figure = style.new_figure(6.4, 3.9)
        axes = figure.add_axes((0.09, 0.15, 0.88, 0.66))
        shares = sorted(bound.tuning)
        axes.plot(
            [100 * share for share in shares],
            [bound.tuning[share] for share in shares],
            "o-",
            color=style.SOFT_INK,
            markersize=4,
        )
        measured = 100 * bound.guesses / bound.num_guessed
        axes.plot([measured], [bound.epsilon], "D", color=style.VIEW_COLOURS[0], markersize=8, zorder=3)
        axes.plot([measured], [bound.most], "_", color=style.VIEW_COLOURS[0], markersize=16, zorder=3)
        top = max(1.0, bound.most, *bound.tuning.values(), _guarantee(results) or 0)
        if (upper := _guarantee(results)) is not None:
            axes.axhline(upper, color=style.VIEW_COLOURS[1], linewidth=1.2)
            axes.text(
                0.02, upper + 0.02 * top, "at most, by its noise", color=style.VIEW_COLOURS[1],
                transform=axes.get_yaxis_transform(), va="bottom",
            )  # fmt: skip
        _legend(axes)
        axes.set_xlim(0, 104)
        axes.set_ylim(-0.04 * top, 1.5 * top)
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 1.05 * top])
        axes.set_xlabel("canaries guessed about, %")
        axes.set_ylabel("epsilon, at least")
        style.quiet(axes, grid="y")
        style.title(
            figure,
            headline(results),
            f"{results.target}: {epsilon(bound.epsilon)} by {formats.count(bound.right)} right of "
            f"{formats.count(bound.guesses)} guesses, δ = {bound.delta:g}, "
            f"{formats.level(bound.confidence)} confidence",
        )
    return figure


def _guarantee(results: EpsilonResults) -> float | None:
    """What the noise guarantees, where it is near enough to be drawn in the same figure."""
    near = results.upper is not None and results.upper <= 3 * results.bound.most
    return results.upper if near else None


def _legend(axes: Axes) -> None:
    entries = (
        (style.VIEW_COLOURS[0], "D", "the bound"),
        (style.VIEW_COLOURS[0], "_", "had all its guesses been right"),
        (style.SOFT_INK, "o", "on the other half, where score and number of guesses are chosen"),
    )
    for row, (colour, marker, label) in enumerate(entries):
        height = 0.95 - 0.075 * row
        axes.plot(
            [0.025], [height], marker, color=colour, markersize=6, transform=axes.transAxes, clip_on=False
        )
        axes.text(0.05, height, label, color=colour, transform=axes.transAxes, va="center")
