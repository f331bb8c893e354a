"""The study of shares as a table and a figure."""

import pytest

from jaxaudit.reports.reliability.usage import usage_figure, usage_markdown
from jaxaudit.results import Interval, UsageRates, UsageStudy, replace

SHARE = Interval(0.5, 0.25, 0.75)


def rates(share=0.5, **changes):
    one = UsageRates(
        share=share,
        description="as it should be",
        repetitions=40,
        mean_bound=0.4,
        bound_covers=SHARE,
        bound_above_zero=SHARE,
        no_mixture=SHARE,
        told=SHARE,
        mean_error=0.0123,
        large_error=0.04,
        estimates=(share - 0.1, share, share + 0.1),
        interval_covers=SHARE,
        possible_covers=SHARE,
        mean_named=12.3,
        false_discovery_rate=0.031,
        nonmember_named=SHARE,
    )
    return replace(one, **changes)


def usage_study(target="one"):
    untold = {"told": Interval(0, 0, 0.1), "interval_covers": None, "estimates": None}
    untold |= {"mean_error": None, "large_error": None}
    return UsageStudy(
        target=target,
        num_scores=18,
        num_images=300,
        confidence=0.95,
        q=0.05,
        rates=(rates(0.3), rates(1.0, **untold), rates(0.5, description="M is wrong")),
    )


def test_every_share_is_a_line_and_what_was_not_told_is_empty():
    text = usage_markdown([usage_study("one"), usage_study("two")])
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 6
    assert {line.count("|") for line in lines} == {14}
    assert lines[0].startswith("| 30% | 40.0% | 50.0% |")
    assert "| 0.012 | 0.040 |" in lines[0]
    assert "|  |  |  |" in lines[1]
    assert lines[2].startswith("| 50%; M is wrong |")
    assert "300 images each of P, U and known members, 40 draws of every row, 95% confidence" in text


def test_a_panel_per_target_without_what_was_wrong():
    figure = usage_figure([usage_study("one"), usage_study("two")])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]
    diagonal, bound, spread, middle = figure.axes[0].lines
    assert list(diagonal.get_xdata()) == [0, 1]
    assert list(bound.get_xdata()) == [0.3, 1.0]
    assert [*spread.get_ydata(), *middle.get_ydata()] == pytest.approx([0.2, 0.4, 0.3])
