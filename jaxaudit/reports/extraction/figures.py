"""Figures of an extraction attack: rates per prefix, similarities beside their threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.reports.kit import formats, style
from jaxaudit.results import ExtractionResults

CANDIDATES, VALIDATION, OTHERS = style.VIEW_COLOURS[0], style.NONMEMBERS, style.VIEW_COLOURS[1]
_ASIDE = 0.07  # of the two groups from the middle of their prefix


def make_extraction_figures(results: ExtractionResults) -> dict[str, Figure]:
    """{name: figure}: "extracted" (rates per prefix) and "similarity"."""
    with style.house_style():
        return {"extracted": rates(results), "similarity": similarities(results)}


def rates(results: ExtractionResults) -> Figure:
    """Share of completions that reach the threshold against the prefix, candidates and held-out pictures."""
    counts, prefixes = results.counts, results.counts.prefixes
    figure = style.new_figure(6.4, 3.9)
    axes = figure.add_axes((0.105, 0.17, 0.865, 0.64))
    x = np.arange(len(prefixes))
    top = max(entry.rate.high for entry in prefixes)
    _rate_line(
        axes,
        x,
        [(entry.rate.estimate, entry.rate.low, entry.rate.high) for entry in prefixes],
        CANDIDATES,
        shift=-_ASIDE,
    )
    for place, entry in zip(x, prefixes, strict=True):
        _count(axes, place - _ASIDE, entry.rate.high, entry.extracted, CANDIDATES)
    bounds = [entry.false_positives.all for entry in prefixes if entry.false_positives]
    if checked := len(bounds) == len(prefixes):
        _rate_line(
            axes,
            x,
            [(bound.estimate, bound.estimate, bound.high) for bound in bounds],
            VALIDATION,
            shift=_ASIDE,
        )
        for place, bound in zip(x, bounds, strict=True):
            _count(axes, place + _ASIDE, bound.high, bound.count, style.SOFT_INK)
        top = max(top, *(bound.high for bound in bounds))
    axes.set_xlim(-0.5, len(prefixes) - 0.5)
    axes.set_ylim(0, 115 * top)
    axes.set_xticks(x, [f"{entry.tokens}\n{formats.percent(entry.share)}" for entry in prefixes])
    axes.set_xlabel("tokens of the original that the model is given, and their share of all tokens")
    axes.set_ylabel("completions at the threshold, %")
    style.quiet(axes, grid="y")
    _legend(axes, [("candidates", CANDIDATES), ("held-out images", style.SOFT_INK)][: 1 + checked])
    main = counts.longest
    style.title(
        figure,
        f"{formats.count(main.extracted)} of {formats.count(counts.num_completed.candidates)} "
        f"candidates completed to a copy from {formats.count(main.tokens)} tokens",
        f"similarity ({counts.similarity.name}) at least {counts.similarity.threshold:g}; "
        f"numbers: counts; bars: {formats.level(counts.confidence)} intervals"
        + (", of held-out images one-sided" if checked else ""),
    )
    return figure


def similarities(results: ExtractionResults) -> Figure:
    """Similarity of completions to their originals, and of training images to the most similar other one."""
    histograms, threshold = results.counts.histograms, results.counts.similarity.threshold
    edges = histograms.edges
    panels = [
        (histograms.candidates, "candidates and their completions", CANDIDATES),
        (histograms.validation, "held-out images and their completions", VALIDATION),
        (histograms.nearest_other, "training images and the most similar other one", OTHERS),
    ]
    panels = [panel for panel in panels if sum(panel[0])]
    figure = style.new_figure(6.4, 1.25 * len(panels) + 1.15)
    height = figure.get_size_inches()[1]
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.02, right=0.965, top=1 - 0.72 / height, bottom=0.48 / height, hspace=0.12)
    for axes, (bins, words, colour) in zip(rows, panels, strict=True):
        counts = np.asarray(bins, float)
        shares = counts / counts.sum()
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.3, linewidth=0)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, baseline=None)
        axes.axvline(threshold, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_ylim(0, 1.25 * shares.max())
        axes.set_xlim(edges[0], edges[-1])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        style.quiet(axes, grid="x")
        text = f"{words} ({formats.count(int(counts.sum()))})"
        axes.text(0.01, 0.94, text, va="top", color=colour, fontweight="bold", transform=axes.transAxes)
    rows[-1].set_xlabel("similarity; the lowest bin holds everything below")
    reaching = results.counts.reference.reaching_threshold.estimate
    style.title(
        figure,
        f"{formats.percent(reaching)} of training images have another one this similar",
        f"dashed: threshold {threshold:g} ({results.counts.similarity.name}); completions from "
        f"{formats.count(results.counts.longest.tokens)} tokens",
    )
    return figure


def _rate_line(
    axes: Axes, x: np.ndarray, values: Sequence[tuple[float, float, float]], colour: str, *, shift: float
) -> None:
    for place, (estimate, low, high) in zip(x + shift, values, strict=True):
        axes.plot(
            [place, place],
            [100 * low, 100 * high],
            color=colour,
            linewidth=5,
            alpha=0.3,
            solid_capstyle="butt",
        )
        axes.plot(
            [place],
            [100 * estimate],
            "o",
            color=colour,
            markersize=5.5,
            markeredgecolor=style.PAPER,
            clip_on=False,
        )


def _count(axes: Axes, x: float, top: float, count: int, colour: str) -> None:
    axes.annotate(
        formats.count(count),
        (x, 100 * top),
        (0, 3),
        textcoords="offset points",
        ha="center",
        color=colour,
        fontweight="bold",
        fontsize=9,
    )


def _legend(axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
    for place, (text, colour) in enumerate(entries):
        axes.text(
            0.01,
            0.96 - 0.1 * place,
            text,
            color=colour,
            fontweight="bold",
            va="top",
            transform=axes.transAxes,
        )
