"""Images expected back against the number of tries."""

from __future__ import annotations

from matplotlib.figure import Figure

from jaxaudit.reports.kit import formats, style
from jaxaudit.results import RegenerationResults


def expected_back(results: RegenerationResults) -> Figure:
    """Share of images expected back, of training and of held-out ones, after the longest prefix."""
    last = results.prefixes[-1]
    with style.house_style():
        figure = style.new_figure(6.4, 3.9)
        axes = figure.add_axes((0.105, 0.15, 0.865, 0.66))
        lines = (
            ("training images", last.found.expected, last.found.num_images, style.VIEW_COLOURS[0]),
            ("held-out images", last.found.held_out_expected, last.found.num_held_out, style.SOFT_INK),
        )
        for row, (label, expected, total, colour) in enumerate(lines):
            tries = sorted(expected)
            axes.plot(tries, [100 * expected[n] / total for n in tries], "o-", color=colour, markersize=4)
            axes.text(
                0.02, 0.87 - 0.08 * row, label, color=colour, fontweight="bold", transform=axes.transAxes
            )
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis, min(tries), max(tries), lambda value: formats.count(round(value)))
        axes.set_ylim(0, 105)
        axes.set_xlabel("tries")
        axes.set_ylabel("expected back, % of images")
        style.quiet(axes, grid="y")
        style.title(
            figure,
            f"{last.found.expected[max(tries)]:.3g} of {formats.count(last.found.num_images)} training "
            f"images expected back in {formats.count(max(tries))} tries",
            f"given {formats.count(last.tokens)} of {formats.count(results.tokens)} tokens, drawn token for "
            "token; computed, not sampled",
        )
    return figure
