"""How well each score tells members from nonmembers, all of them below each other."""

from matplotlib.figure import Figure

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import AuditResults

MOST_SCORES = 40
"""Scores that are shown, the best."""

_LINE, _HEAD, _FOOT = 0.19, 0.72, 0.5  # inches
_NAMES = 0.33  # of the width


def auc(results: AuditResults) -> Figure:
    """AUC of every score with its interval, best first; the selected one in bold."""
    found = results.membership
    every = sorted(found.per_score, key=lambda name: formats.center(found.per_score[name].auc), reverse=True)
    shown = every[:MOST_SCORES]
    colours = wording.view_colours(results)
    height = _HEAD + _LINE * len(shown) + _FOOT
    figure = style.new_figure(7.0, height)
    axes = figure.add_axes((_NAMES, _FOOT / height, 0.97 - _NAMES, _LINE * len(shown) / height))
    for row, name in enumerate(shown):
        value = found.per_score[name].auc
        colour = colours.get(name.rpartition("/")[0], style.INK)
        low, high = formats.limits(value)
        axes.plot([low, high], [row, row], color=colour, alpha=0.3, linewidth=4, solid_capstyle="butt")
        axes.plot([formats.center(value)], [row], "o", color=colour, markersize=4.5)
        axes.text(
            -0.02,
            row,
            name,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8.5,
            color=colour,
            fontweight="bold" if name == found.selected else "normal",
        )
    axes.axvline(0.5, color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    style.quiet(axes, grid="x")
    axes.set_xlabel("AUC; dashed: chance")
    best = f"the {len(shown)} best of {len(every)} scores" if len(shown) < len(every) else "all scores"
    held = f"{formats.level(found.confidence)} intervals" if found.confidence else "± one standard deviation"
    style.title(
        figure,
        f"What each score tells about the training of {results.target.name}",
        f"AUC of {best} on {formats.count(found.num_members)} members and "
        f"{formats.count(found.num_nonmembers)} nonmembers; bars: {held}; bold: selected"
        f"{wording.caveat(results)}",
    )
    return figure
