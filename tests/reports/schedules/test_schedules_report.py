"""What the report on schedules says: the finding, a line per schedule, what it is compared to."""

import html
import io

import pytest
from rich.console import Console

from jaxaudit.reports.files import write_schedules
from jaxaudit.reports.schedules.figure import leakage_by_schedule
from jaxaudit.reports.schedules.rows import (
    described,
    headline,
    named,
    optimism,
    other_lines,
    passes,
    print_schedules,
    schedule_lines,
    sentence,
)
from tests.schedule_results import make_schedules


def test_the_finding_is_that_of_the_chosen_walk():
    results = make_schedules()
    text = sentence(results)
    assert text.startswith("Of 216 errors of walks through one, the one chosen on one half of the pictures")
    assert named(results.best, results) == "schedule 13, pixel error at t = 0"
    assert "10 members, 16 nonmembers" in text
    assert "no sign of training" in sentence(make_schedules(told="not_testable"))
    assert "plain loss is lower on the nonmembers" in sentence(make_schedules(told="contradicted"))
    assert headline(make_schedules(told="not_told_apart")) == (
        "The walk that looked best tells nothing on other pictures"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1", "300 to 50, noised as 300, g = 7.5"),
        ("2", "300 to 50, fresh, g = 7.5"),
        ("3", "300 to 50, noised as 300, + noise at 170, g = 7.5"),
        ("5", "300 to 50, noised as 300, caption + 0.5, g = 7.5"),
        ("12", "900 to 0, fresh, reversed, g = 100"),
        ("13", "900 to 0, noised as 300, no guidance"),
        ("14", "900 to 0, fresh as 100, g = 7.5"),
    ],
)
def test_a_schedule_is_described_in_a_few_words(name, words):
    assert described(make_schedules(names=(name,)).schedules[0]) == words


def test_every_walk_has_its_place_in_figure_page_and_terminal(tmp_path):
    results = make_schedules()
    assert [line.name for line in schedule_lines(results)] == ["1", "4", "12", "13"]
    others = ["baseline", "grey box", "black box", "low-rank step", "classifier"]
    assert [line.name for line in other_lines(results)] == others
    assert passes(results) == (5 * (52 + 52 + 20 + 10), 5 * (52 + 52 + 20 + 10 + 101))
    texts = {text.get_text() for axes in leakage_by_schedule(results).axes for text in axes.texts}
    assert {"1", "4", "12", "13", *others} <= texts
    console = Console(file=io.StringIO(), width=120)
    print_schedules(results, console)
    page = html.unescape((write_schedules(results, tmp_path)[-1]).read_text())
    for text in (sentence(results), optimism(results), "Left out: 5, because one is told one of 10 classes."):
        assert text in page
    assert "low-rank step" in console.file.getvalue()


def test_without_classifier_and_low_rank_step():
    results = make_schedules(classifier=None, low_rank=None)
    assert [line.name for line in other_lines(results)] == ["baseline", "grey box", "black box"]
    assert optimism(results) is None
