"""The program on a built-in target: a few pictures, two schedules."""

import pytest

from jaxaudit.results import ScheduleResults
from tests.experiments.captured import run
from tests.results.round_trip import read_back


@pytest.mark.slow
def test_walks_a_class_conditional_target_and_leaves_out_what_it_cannot(tmp_path):
    given = {"target": "digits_dit", "members": "digits:members[:9]", "nonmembers": "digits:nonmembers[:9]"}
    done = run("schedules", **given, schedules="4,12,13", noises=1, out=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Left out: 4, because digits_dit is told one of 10 classes" in done.stdout
    results = read_back(tmp_path / "results.json", ScheduleResults)
    assert [each.name for each in results.schedules] == ["12", "13", "baseline", "generation"]
    assert results.low_rank is not None
    assert {path.name for path in tmp_path.iterdir()} >= {"schedules.png", "schedules.svg", "report.html"}
    assert run("schedules", **given, schedules="12", noises=1, out=tmp_path).returncode == 2
