"""How many of the published pictures were used: in words, and as a figure."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, paragraph, section
from jaxaudit.results import OwnersAnswer, UsageFraction

_AT_LEAST, _ESTIMATE, _POSSIBLE = "at least", "estimate", "possible at all"
_CAPTION = (
    "The share of the published pictures that the model was trained on. “At least” needs nothing but the "
    "unpublished pictures"
)
_OTHERS = "; the others need known members that score as those published do that were used"


def how_much(answer: OwnersAnswer) -> str | None:
    """A sentence without a technical term; None where nothing was asked, or nothing can be said."""
    usage = answer.audit.usage
    if usage is None:
        return None
    level = f"{formats.level(usage.confidence)} confidence"
    at_least = f"at least {formats.share_above(usage.at_least)}"
    test = answer.audit.test
    identified = answer.status == "identified" and test is not None and test.rejected
    if usage.share is not None and not identified:
        return (
            f"If some were used after all, it was no more than {formats.share(usage.share.high)} of them "
            f"({level}), provided that those would score like the pictures that are known to have been used."
        )
    if usage.share is not None:
        return (
            f"About {formats.share(usage.share.estimate)} of them were used "
            f"({formats.between(usage.share, formats.share)}, {level}), if these score like the pictures "
            f"that are known to have been used; {at_least} in any case."
        )
    why = {
        "cannot_tell": "",
        "at_least": ", for single pictures can hardly be told apart",
        "no_mixture": ", for the known members do not fit what was found",
        "known_differ": ", for the known members are other pictures than the unpublished ones in kind",
        "not_testable": "",
    }[usage.status]
    if usage.at_least > 0 and identified:
        more = f" How many exactly cannot be told{why}." if usage.num_known else ""
        return f"{at_least.capitalize()} of them were used ({level}).{more}"
    return "How many of them were used cannot be told." if identified or usage.num_known else None


def share_section(answer: OwnersAnswer) -> Html:
    """The section of the page; nothing where there is neither bound nor share."""
    usage, words = answer.audit.usage, how_much(answer)
    if usage is None or words is None:
        return Html()
    with style.house_style():
        figure = share_figure(usage)
    return section(
        "share",
        "How many of the pictures were used?",
        paragraph(words),
        inline_svg(style.to_svg(figure, "share"), "share", _caption(usage))
        if usage.at_least or usage.possible
        else Html(),
        paragraph(
            "There is no upper bound without known members: pictures that leave no trace cannot be told from "
            "others. A score that never saw the model had to find nothing, or no share would be given.",
            class_="small",
        ),
    )


def _caption(usage: UsageFraction) -> str:
    return f"{_CAPTION}{_OTHERS if usage.share or usage.possible else ''}."


def share_figure(usage: UsageFraction) -> Figure:
    """Bound, estimate with interval, and possible shares, each on a line of its own."""
    lines = [(_AT_LEAST, usage.at_least, 1.0)]
    if usage.share is not None:
        lines.append((_ESTIMATE, usage.share.low, usage.share.high))
    if usage.possible is not None:
        lines.append((_POSSIBLE, *usage.possible))
    height = 0.6 + 0.42 * len(lines)
    figure = style.new_figure(6.4, height)
    axes = figure.add_axes((0.19, 0.5 / height, 0.775, 0.42 * len(lines) / height))
    for row, (label, low, high) in enumerate(lines):
        _line(axes, len(lines) - 1 - row, label, low, high, usage)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_yticks(range(len(lines)), [label for label, _, _ in reversed(lines)])
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"share of the published pictures; {formats.level(usage.confidence)} confidence")
    style.quiet(axes, grid="x")
    axes.spines["left"].set_visible(False)
    return figure


def _line(axes: Axes, y: int, label: str, low: float, high: float, usage: UsageFraction) -> None:
    colour = style.NONMEMBERS if label == _AT_LEAST else style.VIEW_COLOURS[0]
    wide = 2 if label == _POSSIBLE else 7
    axes.plot([low, high], [y, y], color=colour, linewidth=wide, alpha=0.45, solid_capstyle="butt")
    if label == _AT_LEAST:
        axes.plot([low], [y], "|", color=style.INK, markersize=13, markeredgewidth=2)
        axes.text(low + 0.012, y + 0.27, formats.share_above(low), fontsize=8.5, color=style.SOFT_INK)
    elif label == _ESTIMATE and usage.share is not None:
        x = usage.share.estimate
        axes.plot([x], [y], "o", color=colour, markersize=7)
        axes.text(x, y + 0.27, formats.share(x), ha="center", fontsize=8.5)
