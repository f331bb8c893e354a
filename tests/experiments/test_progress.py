"""Progress where there is no terminal, and on one."""

import io
import re
import time

import pytest
from rich.console import Console

from experiments import progress


def file_console():
    return Console(file=io.StringIO(), width=40)


def test_a_file_gets_a_line_at_the_beginning_and_at_the_end_of_everything():
    console = file_console()
    with progress.reported(console, "Preparing", unit="images") as report:
        report(5, 10, "Scoring")
        report(10, 10, "Scoring")
        report(1, 1, "Counting", note="loss 0.125")
    preparing, scoring, scored, counting, counted = console.file.getvalue().splitlines()
    assert (preparing, scoring, counting) == ("Preparing", "Scoring", "Counting")
    assert re.fullmatch(r"Scoring: 10 images in [0-9.]+ s, [0-9.,e+]+ images/s", scored)
    assert re.fullmatch(r"Counting: 1 images in [0-9.]+ s, loss 0.125", counted)


def test_between_them_the_time_decides_and_not_the_work():
    console = file_console()
    with progress.reported(console, "Scoring", unit="images", every=0.05) as report:
        report(100, 1_000, "Scoring")  # an earlier run did these
        time.sleep(0.02)
        report(102, 1_000, "Scoring")
        while console.file.getvalue().count("\n") < 3:  # silent work
            time.sleep(0.01)
        for done in range(103, 1_001):
            report(done, 1_000, "Scoring")
    first, second, *_, last = console.file.getvalue().splitlines()
    assert first == "Scoring"
    assert "102 of 1,000 images, " in second
    assert " images/s, " in second
    assert second.endswith(" left")
    assert "1,000 images in" in last
    assert console.file.getvalue().count("\n") < 50


def test_work_that_counts_nothing_says_how_long_it_takes():
    console = file_console()
    with progress.reported(console, "Computing statistics", every=0.02):
        while console.file.getvalue().count("\n") < 2:
            time.sleep(0.01)
    lines = console.file.getvalue().splitlines()
    assert re.fullmatch(r"Computing statistics: [0-9.]+ s so far", lines[1])
    assert re.fullmatch(r"Computing statistics: in [0-9.]+ s", lines[-1])


def test_an_error_ends_it_without_claiming_an_end():
    console = file_console()

    def work():
        with progress.reported(console, "Scoring") as report:
            report(1, 2, "Scoring")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert console.file.getvalue() == "Scoring\n"


def test_a_terminal_gets_a_bar():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress.reported(console, "Preparing", unit="images") as report:
        report(0, 0, "Looking")
        report(30, 60, "Scoring")
        report(60, 60, "Scoring")
    text = console.file.getvalue()
    assert "━" in text
    assert "60 images in" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (12.3, "12 s"), (84, "1 min 24 s"), (7_800, "2 h 10 min")]
)
def test_durations_are_for_people(seconds, text):
    assert progress._duration(seconds) == text
