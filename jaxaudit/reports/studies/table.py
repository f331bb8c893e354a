"""The study of parts of the features as a table in colour."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.studies.wording import TITLES, subtitle
from jaxaudit.results import StudyResults


def table_figure(results: StudyResults) -> Figure:
    """Rows are parts of the features, columns sizes, cells the share of draws that identify P."""
    targets = results.targets
    most = max(len(target.sets or {}) for target in targets)
    widths = [0.42 * len({point.num_p for point in target.points}) for target in targets]
    label = 0.3 + 0.068 * max(len(name) for target in targets for name in target.sets or {})
    width = max(0.2 + sum(widths) + (label + 0.25) * len(targets), 6.2)
    height = 0.24 * most + 1.9
    figure = style.new_figure(width, height)
    style.title(figure, TITLES["features"], subtitle(results))
    left = 0.1
    for target, panel in zip(targets, widths, strict=True):
        parts = target.sets or {}
        sets = list(parts)
        sizes = sorted({point.num_p for point in target.points})
        shares = [[math.nan] * len(sizes) for _ in sets]
        for point in target.points:
            shares[sets.index(point.series)][sizes.index(point.num_p)] = point.identified.estimate
        left += label
        axes = figure.add_axes(
            (left / width, 0.85 / height, panel / width, 0.24 * len(sets) / height),
            gid=f"table-{target.target}",
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
        axes.set(title=target.target, xlabel="images of P and as many of U", yticks=range(len(sets)))
        axes.set_xticks(range(len(sizes)), [formats.count(n) for n in sizes], rotation=45, ha="right")
        axes.set_yticklabels([f"{name} ({len(parts[name])})" for name in sets])
        axes.grid(False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure
