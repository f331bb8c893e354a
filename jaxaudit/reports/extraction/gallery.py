"""The pictures of an extraction attack: originals beside their completions.

Axes: N pictures, H and W pixels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxaudit.reports.extraction.figures import CANDIDATES
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import ExtractionResults
from jaxaudit.results.extraction import PrefixCounts

_COLUMNS = 5  # pairs beside each other


def gallery(
    results: ExtractionResults,
    originals: Float[np.ndarray, "N H W 3"],
    completions: Float[np.ndarray, "N H W 3"],
) -> Figure:
    """Originals beside their completions, best first, with id, class and similarity.

    Args:
      results: whose gallery names the N pictures.
      originals, completions: float32 in [0,1].
    """
    entries, main = results.counts.gallery, results.counts.longest
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
            colour = CANDIDATES if entry.extracted else style.SOFT_INK
            facts = f"{_floor(entry.similarity)}   class {entry.label}"
            for text, lift, tint in (
                (facts, 0.11, colour),
                (_short(entry.sample_id), 0.23, style.SOFT_INK),
            ):
                figure.text(left / width, (bottom - lift) / height, text, fontsize=7, color=tint, va="center")
        style.title(figure, _gallery_title(results), f"left: original, right: completion from {_given(main)}")
    return figure


def _gallery_title(results: ExtractionResults) -> str:
    shown = sum(entry.extracted for entry in results.counts.gallery)
    total = results.counts.longest.distinct
    if not shown:
        return "No completion reached the threshold; the most similar ones"
    if shown < total:
        return f"{formats.count(shown)} of {formats.count(total)} distinct extracted training images"
    return f"{formats.count(total)} distinct extracted training images" + (
        ", and what came closest" if shown < len(results.counts.gallery) else ""
    )


def _given(entry: PrefixCounts) -> str:
    share = formats.percent(entry.share)
    return f"{formats.count(entry.tokens)} tokens ({share} of the image) and the class"


def _floor(similarity: float) -> str:
    """Three decimals, rounded down, so that nothing below a threshold seems to reach it."""
    return formats.decimal(np.floor(1000 * similarity) / 1000, 3)


def _short(sample_id: str) -> str:
    return sample_id if len(sample_id) <= 30 else f"…{sample_id[-29:]}"
