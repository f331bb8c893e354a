"""The suite goes on after a kill, and refuses a folder of another one."""

import pytest

from jaxaudit.audits.benchmark.scoring import TimingConfig, benchmark_config, measure_scoring
from jaxaudit.audits.benchmark.suite import SUITES, Row, run_suite
from jaxaudit.audits.benchmark.tasks import TASKS, measure_task
from jaxaudit.errors import InputError
from jaxaudit.results import TaskCost
from jaxaudit.runtime.placement import Placement
from tests import tiny

COST = {
    "task": "audit", "target": "tiny", "num_images": 4, "num_devices": 1, "seconds": 2.0, "cpu_seconds": 3.0,
    "first_result_s": 9.0, "peak_memory_bytes": 2**30,
}  # fmt: skip


def test_a_killed_suite_loses_one_row(tmp_path):
    measured, broken = [], True

    def measure(name):
        if name == "second" and broken:
            raise KeyboardInterrupt
        measured.append(name)
        return TaskCost(**{**COST, "task": name})

    rows = [Row(name, "tasks", measure, {"name": name}) for name in ("first", "second", "third")]
    with pytest.raises(KeyboardInterrupt):
        run_suite(rows, tmp_path, apart=False)
    broken = False
    results = run_suite(rows, tmp_path, apart=False)
    assert measured == ["first", "second", "third"]
    assert [row.task for row in results.tasks.values()] == list(results.tasks) == measured
    assert results.machine.cores > 0
    with pytest.raises(InputError, match="holds a suite of benchmarks of another request"):
        run_suite(rows[:2], tmp_path, apart=False)


@pytest.mark.slow
def test_a_row_can_be_measured_in_a_process_of_its_own(tmp_path):
    results = run_suite([Row("only", "tasks", TaskCost, COST)], tmp_path)
    assert results.tasks == {"only": TaskCost(**COST)}


def test_rows_have_names_of_their_own_and_targets_that_exist():
    for rows in SUITES.values():
        assert len({row.name for row in rows}) == len(rows)
        for row in rows:
            assert benchmark_config(row.arguments["target"])["generator"]
            assert row.arguments.get("task", "audit") in TASKS


def test_a_task_is_done_for_a_batch_and_then_for_all():
    placement = Placement(batch_size=2, num_devices=1)
    cost = measure_task("ranking", tiny.var_target(), num_images=6, placement=placement)
    assert (cost.task, cost.target, cost.num_images, cost.num_devices) == ("ranking", "tiny", 6, 1)
    assert cost.first_result_s > cost.seconds > 0
    assert cost.peak_memory_bytes > 2**26


def test_a_target_is_measured():
    config = TimingConfig(
        scores=("diff/loss",), rounds=1, side=128, placement=Placement(batch_size=2, num_devices=1)
    )
    results = measure_scoring(tiny.var_target(), config)
    assert list(results.stages) == ["matmul", "load", "tokenise", "forward", "statistics", "whole step"]
    assert results.stages["whole step"].images_per_s > 0
