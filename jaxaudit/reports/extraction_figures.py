"""Figures of an extraction attack: rates per prefix, similarities beside their threshold, the pictures.

Axes: N pictures, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.wording import Results

CANDIDATES, VALIDATION, OTHERS = style.VIEW_COLOURS[0], style.NONMEMBERS, style.VIEW_COLOURS[1]
_COLUMNS = 5  # pairs beside each other
_ASIDE = 0.07  # of the two groups from the middle of their prefix


def make_extraction_figures(results: Results) -> dict[str, Figure]:
    """{name: figure}: "extracted" (rates per prefix) and "similarity".

    Args:
      results: what `results.json` of an extraction holds.
    """
    with style.house_style():
        return {"extracted": rates(results), "similarity": similarities(results)}


def rates(results: Results) -> Figure:
    """Share of completions that reach the threshold against the prefix, candidates and held-out pictures."""
    prefixes = results["prefixes"]
    figure = style.new_figure(6.4, 3.9)
    axes = figure.add_axes((0.105, 0.17, 0.865, 0.64))
    x = np.arange(len(prefixes))
    top = max(entry["rate"]["high"] for entry in prefixes)
    _rate_line(
        axes,
        x,
        [(entry["rate"]["estimate"], entry["rate"]["low"], entry["rate"]["high"]) for entry in prefixes],
        CANDIDATES,
        shift=-_ASIDE,
    )
    for place, entry in zip(x, prefixes, strict=True):
        _count(axes, place - _ASIDE, entry["rate"]["high"], entry["extracted"], CANDIDATES)
    if checked := all(entry["false_positives"] for entry in prefixes):
        bounds = [entry["false_positives"]["all"] for entry in prefixes]
        _rate_line(
            axes,
            x,
            [(bound["estimate"], bound["estimate"], bound["high"]) for bound in bounds],
            VALIDATION,
            shift=_ASIDE,
        )
        for place, bound in zip(x, bounds, strict=True):
            _count(axes, place + _ASIDE, bound["high"], bound["count"], style.SOFT_INK)
        top = max(top, *(bound["high"] for bound in bounds))
    axes.set_xlim(-0.5, len(prefixes) - 0.5)
    axes.set_ylim(0, 115 * top)
    axes.set_xticks(x, [f"{entry['tokens']}\n{formats.percent(entry['share'])}" for entry in prefixes])
    axes.set_xlabel("tokens of the original that the model is given, and their share of all tokens")
    axes.set_ylabel("completions at the threshold, %")
    style.quiet(axes, grid="y")
    _legend(axes, [("candidates", CANDIDATES), ("held-out images", style.SOFT_INK)][: 1 + checked])
    main = prefixes[-1]
    style.title(
        figure,
        f"{formats.count(main['extracted'])} of {formats.count(results['num_completed']['candidates'])} "
        f"candidates completed to a copy from {formats.count(main['tokens'])} tokens",
        f"similarity ({results['similarity']['name']}) at least {results['similarity']['threshold']:g}; "
        f"numbers: counts; bars: {formats.level(results['confidence'])} intervals"
        + (", of held-out images one-sided" if checked else ""),
    )
    return figure


def similarities(results: Results) -> Figure:
    """Similarity of completions to their originals, and of training images to the most similar other one."""
    histograms, threshold = results["histograms"], results["similarity"]["threshold"]
    edges = histograms["edges"]
    panels = [
        ("candidates", "candidates and their completions", CANDIDATES),
        ("validation", "held-out images and their completions", VALIDATION),
        ("nearest_other", "training images and the most similar other one", OTHERS),
    ]
    panels = [panel for panel in panels if sum(histograms[panel[0]])]
    figure = style.new_figure(6.4, 1.25 * len(panels) + 1.15)
    height = figure.get_size_inches()[1]
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.02, right=0.965, top=1 - 0.72 / height, bottom=0.48 / height, hspace=0.12)
    for axes, (name, words, colour) in zip(rows, panels, strict=True):
        counts = np.asarray(histograms[name], float)
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
    reaching = results["reference"]["reaching_threshold"]["estimate"]
    style.title(
        figure,
        f"{formats.percent(reaching)} of training images have another one this similar",
        f"dashed: threshold {threshold:g} ({results['similarity']['name']}); completions from "
        f"{formats.count(results['prefixes'][-1]['tokens'])} tokens",
    )
    return figure


def gallery(
    results: Results, originals: Float[np.ndarray, "N H W 3"], completions: Float[np.ndarray, "N H W 3"]
) -> Figure:
    """Originals beside their completions, best first, with id, class and similarity.

    Args:
      results: whose "gallery" names the N pictures.
      originals, completions: float32 in [0,1].
    """
    entries, main = results["gallery"], results["prefixes"][-1]
    with style.house_style():
        columns = min(_COLUMNS, len(entries))
        rows = -(-len(entries) // columns)
        side, gap, caption, top = 0.82, 0.22, 0.34, 0.78  # inches
        width = max(columns * (2 * side + gap) + gap, 6.4)
        height = top + rows * (side + caption) + 0.05
        figure = style.new_figure(width, height)
        for place, (entry, *pair) in enumerate(zip(entries, originals, completions, strict=True)):
            row, column = divmod(place, columns)
            left = gap + column * (2 * side + gap)
            bottom = height - top - row * (side + caption) - side
            for index, image in enumerate(pair):
                axes = figure.add_axes(
                    ((left + index * side) / width, bottom / height, 0.98 * side / width, side / height)
                )
                axes.imshow(np.clip(image, 0, 1), interpolation="nearest")
                axes.set_axis_off()
            colour = CANDIDATES if entry["extracted"] else style.SOFT_INK
            facts = f"{_floor(entry['similarity'])}   class {entry['label']}"
            for text, lift, tint in (
                (facts, 0.11, colour),
                (_short(entry["sample_id"]), 0.23, style.SOFT_INK),
            ):
                figure.text(left / width, (bottom - lift) / height, text, fontsize=7, color=tint, va="center")
        style.title(figure, _gallery_title(results), f"left: original, right: completion from {_given(main)}")
    return figure


def _gallery_title(results: Results) -> str:
    shown = sum(entry["extracted"] for entry in results["gallery"])
    total = results["prefixes"][-1]["distinct"]
    if not shown:
        return "No completion reached the threshold; the most similar ones"
    if shown < total:
        return f"{formats.count(shown)} of {formats.count(total)} distinct extracted training images"
    return f"{formats.count(total)} distinct extracted training images" + (
        ", and what came closest" if shown < len(results["gallery"]) else ""
    )


def _given(entry: Results) -> str:
    share = formats.percent(entry["share"])
    return f"{formats.count(entry['tokens'])} tokens ({share} of the image) and the class"


def _floor(similarity: float) -> str:
    """Three decimals, rounded down, so that nothing below a threshold seems to reach it."""
    return formats.decimal(np.floor(1000 * similarity) / 1000, 3)


def _short(sample_id: str) -> str:
    return sample_id if len(sample_id) <= 30 else f"…{sample_id[-29:]}"


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
