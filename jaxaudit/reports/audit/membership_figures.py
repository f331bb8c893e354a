"""What single images give away: ROC curves and score histograms."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import AuditResults, Interval, MeanStd


def roc(results: AuditResults) -> Figure:
    """ROC curves of the best score of each view, both axes logarithmic, with intervals at the reported FPRs.

    A step holds the TPR from one number of false positives to the next. The axis begins at half a false
    positive, with the TPR at none; where the TPR is 0 the curve lies below the picture.
    """
    membership = results.membership
    curves = {view: membership.curves[name] for view, name in membership.groups.items()}
    smallest = min(curve.fpr[1] for curve in curves.values()) / 2
    figure = style.new_figure(5.8, 5.9)
    axes = figure.add_axes((0.125, 0.085, 0.84, 0.8))
    style.quiet(axes, grid="both")
    axes.set(xscale="log", yscale="log", xlim=(smallest, 1.12), ylim=(smallest, 1.12))
    for axis in (axes.xaxis, axes.yaxis):
        style.log_ticks(axis, smallest, 1, formats.level)
    axes.set_xlabel("false-positive rate: nonmembers taken for members")
    axes.set_ylabel("true-positive rate: members found")
    axes.plot([smallest, 1], [smallest, 1], color=style.SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    beside = max(0.02, 1.5 * smallest)
    axes.annotate(
        "chance",
        (beside, beside),
        xytext=(4, -4),
        textcoords="offset points",
        rotation=45,
        rotation_mode="anchor",
        va="top",
        fontsize=8.5,
        color=style.SOFT_INK,
    )
    colours = wording.view_colours(results)
    fprs = wording.reported_fprs(membership)
    for fpr in fprs:
        axes.axvline(fpr, color=style.SOFT_INK, linewidth=0.8, alpha=0.5)
    for place, view in enumerate(reversed(colours)):
        name, curve = membership.groups[view], curves[view]
        axes.plot(
            [smallest, *curve.fpr[1:]],
            [max(tpr, smallest / 10) for tpr in curve.tpr],
            drawstyle="steps-post",
            color=colours[view],
            gid=f"curve-{view}",
        )
        metrics = membership.per_score[name]
        beside = 1.05 ** (2 * place - len(colours) + 1)  # intervals of two views would hide each other
        for fpr in fprs:
            _mark_rate(axes, fpr * beside, metrics.tpr_at_fpr[fpr], smallest, colours[view])
        rates = [
            f"TPR {formats.percent(formats.center(metrics.tpr_at_fpr[fpr]))} at {formats.level(fpr)} FPR"
            for fpr in fprs
        ]
        facts = [*rates[:1], f"AUC {formats.area(formats.center(metrics.auc))}"]
        _label(axes, place, f"{wording.role(results, view)}: {name}", ", ".join(facts), colours[view])
    style.title(figure, _roc_title(results), _roc_subtitle(results))
    return figure


def scores(results: AuditResults) -> Figure:
    """Histograms of the best score of each view, members in the view's colour, nonmembers grey."""
    membership, colours = results.membership, wording.view_colours(results)
    figure = style.new_figure(max(7.0, 4.4 * len(colours)), 3.3)  # room for the title
    panels = figure.subplots(1, len(colours), squeeze=False)[0]
    figure.subplots_adjust(left=0.012, right=0.988, top=0.71, bottom=0.15, wspace=0.06)
    for axes, (view, colour) in zip(panels, reversed(colours.items()), strict=True):
        name = membership.groups[view]
        histogram = results.histograms[name]
        heights = [
            _shares(axes, histogram.edges, counts, tint)
            for counts, tint in ((histogram.nonmembers, style.NONMEMBERS), (histogram.members, colour))
        ]
        axes.set_ylim(0, 1.3 * max(heights))
        axes.margins(x=0)
        style.quiet(axes, grid="x")
        axes.spines["left"].set_visible(False)
        axes.set_yticks([])
        auc = formats.area(formats.center(membership.per_score[name].auc))
        axes.set_title(f"{wording.role(results, view)}: {name}, AUC {auc}", color=colour, fontweight="bold")
        axes.set_xlabel("score; higher = more likely a member")
        for x, align, text, tint in (
            (0.015, "left", "nonmembers", style.SOFT_INK),
            (0.985, "right", "members", colour),
        ):
            axes.text(x, 0.97, text, ha=align, va="top", color=tint, transform=axes.transAxes)
    auc = membership.per_score[membership.selected].auc
    style.title(
        figure,
        f"A random member outscores a random nonmember in {formats.percent(formats.center(auc))} of pairs",
        f"{_sizes(results.members.num_images, results.nonmembers.num_images)}, share of images per bin, "
        f"outliers in the outer bins{wording.caveat(results)}",
    )
    return figure


def _roc_title(results: AuditResults) -> str:
    metrics = results.membership.per_score[results.membership.selected]
    if fprs := wording.reported_fprs(results.membership):
        found = formats.percent(formats.center(metrics.tpr_at_fpr[fprs[0]]))
        return f"At {formats.level(fprs[0])} false positives the chosen score finds {found} of members"
    return f"The chosen score reaches an AUC of {formats.area(formats.center(metrics.auc))}"


def _roc_subtitle(results: AuditResults) -> str:
    m = results.membership
    if m.confidence is None:
        sizes = _sizes(results.members.num_images, results.nonmembers.num_images)
        return f"{sizes}; bars: ± one standard deviation{wording.caveat(results)}"
    sizes = _sizes(m.num_members, m.num_nonmembers)
    return f"{sizes}; bars: {formats.level(m.confidence)} intervals{wording.caveat(results)}"


def _sizes(members: int, nonmembers: int) -> str:
    return f"{formats.count(members)} members, {formats.count(nonmembers)} nonmembers"


def _mark_rate(axes: Axes, x: float, value: Interval | MeanStd, bottom: float, colour: str) -> None:
    """A dot with its interval; what lies below the picture is cut off."""
    center = formats.center(value)
    low, high = formats.limits(value)
    low, high = max(low, bottom / 10), min(high, 1)
    if high > bottom:
        axes.plot([x, x], [low, high], color=colour, linewidth=5, alpha=0.28, solid_capstyle="butt")
    if center > bottom:
        axes.plot(
            x, center, "o", color=colour, markersize=5.5, markeredgecolor=style.PAPER, markeredgewidth=1
        )


def _label(axes: Axes, place: int, heading: str, facts: str, colour: str) -> None:
    """Two lines in the empty corner below the diagonal, the lowest at place 0."""
    for text, lift, weight, tint in ((heading, 21, "bold", colour), (facts, 8, "normal", style.INK)):
        axes.annotate(
            text,
            (0.985, 0),
            xytext=(0, lift + 32 * place),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            color=tint,
            fontweight=weight,
            fontsize=9,
        )


def _shares(axes: Axes, edges: Sequence[float], counts: Sequence[int], colour: str) -> float:
    """Draws a histogram as shares of its images; returns the largest."""
    total = sum(counts)
    shares = [count / total for count in counts]
    axes.stairs(shares, edges, fill=True, color=colour, alpha=0.3, linewidth=0)
    axes.stairs(shares, edges, color=colour, linewidth=1.4, baseline=None)
    return max(shares)
