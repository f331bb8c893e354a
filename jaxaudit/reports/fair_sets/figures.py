"""How alike two pools were, and how alike the matched sets are: log-odds, and differences of features."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.reports.fair_sets.rows import readable
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import FairSets, Histogram

_SHOWN = 20  # features of the plot of differences
_COMMON = 0.1  # a difference that is usually taken for small (Austin 2011)


def odds_figure(results: FairSets) -> Figure:
    """Log-odds of being in P, of P above and of U below the line, before and after."""
    panels = (("the pools", results.before_odds), ("the matched sets", results.after_odds))
    with style.house_style():
        figure = style.new_figure(7.6, 3.6)
        top = max(_highest(histogram) for _, histogram in panels)
        for place, (what, histogram) in enumerate(panels):
            axes = figure.add_axes((0.085 + 0.465 * place, 0.145, 0.43, 0.6))
            _mirrored(axes, histogram, top)
            sizes = f"{sum(histogram.members):,} and {sum(histogram.nonmembers):,} pictures"
            axes.set_title(f"{what}: {sizes}", color=style.SOFT_INK)
            axes.set_xlabel("log-odds of being in P")
            if place:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("share of pictures, %")
        style.title(
            figure,
            f"Who is likelier in P: the pools (AUC {formats.area(results.classifiers[0][0].estimate)}) and "
            "the matched sets",
            "by what can be seen without the model; every picture by a classifier that was not trained on it",
        )
    return figure


def balance_figure(results: FairSets) -> Figure:
    """Differences of the features that differed most, in standard deviations, before and after."""
    features = results.balance[:_SHOWN]
    rows = np.arange(len(features))[::-1]
    with style.house_style():
        height = 1.5 + 0.2 * len(features)
        figure = style.new_figure(7.6, height)
        axes = figure.add_axes((0.25, 0.5 / height, 0.71, (height - 1.25) / height))
        axes.axvspan(-_COMMON, _COMMON, color=style.RULE, alpha=0.35, linewidth=0)
        axes.axvline(0, color=style.SOFT_INK, linewidth=0.8)
        before, after = (
            np.array([getattr(feature, when) for feature in features]) for when in ("before", "after")
        )
        axes.hlines(rows, before, after, color=style.RULE, linewidth=1.2)
        axes.plot(before, rows, "o", color=style.NONMEMBERS, markersize=5, label="the pools")
        axes.plot(after, rows, "o", color=style.VIEW_COLOURS[0], markersize=5, label="the matched sets")
        axes.set_yticks(rows, [readable(feature.feature) for feature in features])
        axes.set_ylim(-0.7, len(features) - 0.3)
        widest = 1.08 * max(0.3, np.abs(before).max(initial=0), np.abs(after).max(initial=0))
        axes.set_xlim(-widest, widest)
        axes.set_xlabel("mean in P less that in U, standard deviations")
        axes.legend(loc="lower right", bbox_to_anchor=(1.01, 0.99), ncols=2, frameon=False, fontsize=8.5)
        style.quiet(axes, grid="x")
        style.title(
            figure,
            f"The {len(features)} features that differed most, before and after matching",
            f"of {len(results.balance)}; less than {_COMMON:g} (shaded) is usually taken for small",
        )
    return figure


def _mirrored(axes: Axes, histogram: Histogram, top: float) -> None:
    edges = np.array(histogram.edges)
    sides = (
        ("P", histogram.members, 1, style.VIEW_COLOURS[0]),
        ("U", histogram.nonmembers, -1, style.NONMEMBERS),
    )
    for name, counts, sign, colour in sides:
        shares = _shares(counts)
        axes.bar(edges[:-1], sign * shares, np.diff(edges), align="edge", color=colour, alpha=0.85)
        axes.text(
            0.03, 0.5 + 0.44 * sign, name, color=colour, fontweight="bold", va="center",
            transform=axes.transAxes,
        )  # fmt: skip
    axes.axhline(0, color=style.SOFT_INK, linewidth=0.8)
    axes.set_ylim(-1.12 * top, 1.12 * top)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    style.quiet(axes, grid="y")


def _highest(histogram: Histogram) -> float:
    return float(max(_shares(histogram.members).max(), _shares(histogram.nonmembers).max()))


def _shares(counts: tuple[int, ...]) -> np.ndarray:
    """In percent."""
    return 100 * np.array(counts) / max(sum(counts), 1)
