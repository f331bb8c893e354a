"""The suite's table and figure."""

from jaxaudit.reports.benchmark.table import suite_markdown
from jaxaudit.reports.files import write_suite
from jaxaudit.results import (
    BenchmarkResults,
    Machine,
    StageSpeed,
    SuiteResults,
    TaskCost,
    YardstickSpeed,
    read_results,
)


def suite():
    scoring = BenchmarkResults(
        target="random var_d16",
        device="cpu",
        num_devices=1,
        batch_size=4,
        precision="float32",
        evaluations_per_image=None,
        peak_memory_bytes=3 * 2**30,
        stages={
            "matmul": StageSpeed(None, None, 150.0, 1.0),
            "load": StageSpeed(33.0, None, None, None, None, 0.25),
            "forward": StageSpeed(0.5, 600.0, 140.0, 0.875, 0.75, 40.0),
            "whole step": StageSpeed(0.25, 813.0, 140.0, 0.931, 0.95, 62.5),
        },
    )
    task = TaskCost(
        task="audit", target="digits_var", num_images=10_000, num_devices=8, seconds=99.5, cpu_seconds=150.0,
        first_result_s=12.0, peak_memory_bytes=2**30,
    )  # fmt: skip
    pair = YardstickSpeed(
        target="random var_d16", precision="float32", scores=("all",), batch_size=4, seconds=10.0,
        yardstick_seconds=26.0, speedup=2.6, speedup_cpu=2.5,
    )  # fmt: skip
    return SuiteResults(
        machine=Machine("Some CPU", 2, "0.10.2", "2026-01-31"),
        scoring={"var_d16": scoring},
        tasks={"devices_8": task},
        yardstick={"pair_var_d16": pair},
    )


def test_the_tables_say_what_was_measured():
    lines = suite_markdown(suite()).splitlines()
    assert lines[0] == "Some CPU, 2 cores, JAX 0.10.2, 2026-01-31."
    for line in (
        "| var_d16 | float32 | 4 | 0.25 | 813 | 93% | 95% | 62.5 | 3.00 |",
        "| var_d16 | load | 33 |  |  |  | 0.25 |",
        "| var_d16 | forward | 0.5 | 600 | 88% | 75% | 40 |",
        "| devices_8 | audit | digits_var | 10,000 | 8 | 99.5 | 150 | 12 | 1.00 |",
        "| pair_var_d16 | float32 | 4 | 10 | 26 | 2.60 | 2.50 |",
    ):
        assert line in lines, line


def test_the_files_are_written(tmp_path):
    written = write_suite(suite(), tmp_path)
    assert [path.name for path in written] == [
        "results.json", "benchmarks.md", "benchmarks.png", "benchmarks.svg",
    ]  # fmt: skip
    assert read_results(written[0], SuiteResults) == suite()
    svg = written[-1].read_text()
    for words in ("var_d16", "forward", "Some CPU, 2 cores"):
        assert words in svg
    empty = SuiteResults(machine=suite().machine)
    assert len(suite_markdown(empty).splitlines()) == 1
