"""What a set of images gives away: p-value, rejection rate and the number of images needed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import AuditResults, NullControl, PowerCurve, PowerPoint

_SMALLEST_DRAWN_P = 1e-12

Curves = Mapping[str, PowerCurve]
"""By view."""


def p_value(results: AuditResults) -> Figure:
    """p-values, rejection rates and the number of images needed, against the number of images drawn."""
    curves = results.power_curves or {}
    colours = {view: colour for view, colour in wording.view_colours(results).items() if view in curves}
    main = curves[results.main_view]
    figure = style.new_figure(7.4, 7.0)
    top, middle, bottom = figure.subplots(
        3, 1, sharex=True, height_ratios=(3.2, 2.4, 0.1 + 0.5 * len(colours))
    )
    figure.subplots_adjust(left=0.1, right=0.86, top=0.9, bottom=0.075, hspace=0.16)
    sizes = [point.n for point in main.points]
    top.set(xscale="log", xlim=(sizes[0] / 1.08, sizes[-1] * 1.08))
    style.log_ticks(bottom.xaxis, sizes[0], sizes[-1], lambda n: formats.count(round(n)))
    bottom.set_xlabel("n, images of P and as many of U")
    roles = {view: wording.role(results, view) for view in colours}
    _p_panel(top, curves, colours, roles, main.alpha)
    _rate_panel(middle, curves, colours, main, results.null_control)
    _needed_panel(bottom, curves, colours, roles)
    style.title(figure, _p_title(main), _p_subtitle(main))
    return figure


def _p_panel(
    axes: Axes, curves: Curves, colours: dict[str, str], roles: dict[str, str], alpha: float
) -> None:
    lowest = min(point.p_quantiles[0.05] for view in colours for point in curves[view].points)
    bottom = max(_SMALLEST_DRAWN_P, min(lowest, alpha / 10))
    axes.set(yscale="log", ylim=(bottom / 1.5, 1.6))
    style.quiet(axes, grid="both")
    style.log_ticks(
        axes.yaxis,
        bottom,
        1,
        lambda p: f"{p:g}" if p >= 0.001 else formats.power_of_ten(round(math.log10(p))),
    )
    axes.set_ylabel("p-value")
    for view, colour in reversed(colours.items()):
        points = curves[view].points
        n = [point.n for point in points]

        def values(level: float, points: Sequence[PowerPoint] = points) -> list[float]:
            return [max(point.p_quantiles[level], bottom / 1e3) for point in points]

        axes.fill_between(n, values(0.05), values(0.95), color=colour, alpha=0.16, linewidth=0)
        axes.plot(n, values(0.5), color=colour, gid=f"median-{view}")
        if curves[view].criterion == "mean_p":
            means = [max(point.mean_p, bottom / 1e3) for point in points]
            axes.plot(n, means, color=colour, linestyle=(0, (1, 1.6)), gid=f"mean-{view}")
    _level_line(axes, alpha, f"α = {alpha:g}")
    start = curves[next(iter(colours))].points[0].p_quantiles[0.05]
    upper_right = start < bottom**0.5  # where the curves leave room
    for place, (view, colour) in enumerate(colours.items()):
        axes.annotate(
            roles[view],
            (0.985, 1) if upper_right else (0.015, 0),
            xytext=(0, -16 - 15 * place if upper_right else 9 + 15 * (len(colours) - 1 - place)),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right" if upper_right else "left",
            color=colour,
            fontweight="bold",
        )


def _rate_panel(
    axes: Axes,
    curves: Curves,
    colours: dict[str, str],
    main: PowerCurve,
    control: NullControl | None,
) -> None:
    axes.set_ylim(-0.02, 1.02)
    style.quiet(axes, grid="both")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: formats.level(round(rate, 2))))
    axes.set_ylabel("draws that reject")
    for view, colour in reversed(colours.items()):
        points = curves[view].points
        n = [point.n for point in points]
        rates = [point.rejection_rate for point in points]
        axes.fill_between(
            n,
            [rate.low for rate in rates],
            [rate.high for rate in rates],
            color=colour,
            alpha=0.14,
            linewidth=0,
        )
        axes.plot(
            n,
            [rate.estimate for rate in rates],
            color=colour,
            marker="o",
            markersize=3,
            gid=f"rejection-rate-{view}",
        )
    if main.criterion == "power":
        _level_line(axes, main.power, f"{formats.level(main.power)} power")
    if control:
        rate = control.rejection_rate
        axes.axhspan(rate.low, rate.high, color=style.SOFT_INK, alpha=0.3, linewidth=0)
        _level_line(axes, rate.estimate, f"U against U\n{formats.percent(rate.estimate)}", "-")


def _needed_panel(axes: Axes, curves: Curves, colours: dict[str, str], roles: dict[str, str]) -> None:
    """One row per view: the estimate, its interval, an arrow where the interval or the estimate is open."""
    style.quiet(axes, grid="x")
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(-0.4, len(colours) - 0.3), yticks=[])
    axes.set_ylabel("needed", labelpad=21)
    for row, (view, colour) in enumerate(reversed(colours.items())):
        required, end = curves[view].required, curves[view].points[-1].n
        estimate, low, high = required.estimate, required.low, required.high
        left, right = low or estimate or end, high or (end if low else estimate or end)
        axes.plot([left, right], [row - 0.1] * 2, color=colour, linewidth=2.4, alpha=0.5)
        if estimate:
            axes.plot(estimate, row - 0.1, "o", color=colour, markersize=6, gid=f"needed-{view}")
        if not estimate or (low and not high):
            axes.plot(end * 1.05, row - 0.1, ">", color=colour, markersize=6, clip_on=False)
        axes.text(
            0.004,
            row + 0.3,
            f"{roles[view]}: {wording.required_size(curves[view])}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=colour,
        )


def _p_title(curve: PowerCurve) -> str:
    estimate, most = curve.required.estimate, formats.count(curve.points[-1].n)
    if curve.criterion == "mean_p":
        if estimate:
            return f"The mean p-value falls below α with {formats.count(estimate)} images"
        return f"The mean p-value stays above α up to {most} images"
    power = formats.level(curve.power)
    if estimate:
        return f"{formats.count(estimate)} images are enough for {power} of draws to reject"
    return f"With up to {most} images fewer than {power} of draws reject"


def _p_subtitle(curve: PowerCurve) -> str:
    mean = ", mean dotted" if curve.criterion == "mean_p" else ""
    return (
        f"{formats.count(curve.repetitions)} random draws of each size: median{mean} and 5% to 95% of "
        f"p-values; {formats.level(curve.confidence)} intervals of rates"
    )


def _level_line(axes: Axes, y: float, text: str, linestyle: Any = (0, (4, 3))) -> None:
    axes.axhline(y, color=style.SOFT_INK, linewidth=0.9, linestyle=linestyle)
    axes.annotate(
        text,
        (1.012, y),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=8.5,
        color=style.SOFT_INK,
        annotation_clip=False,
    )
