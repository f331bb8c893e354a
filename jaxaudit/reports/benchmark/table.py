"""The suite as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable

from jaxaudit.reports.kit import formats
from jaxaudit.results import BenchmarkResults, StageSpeed, SuiteResults, TaskCost, YardstickSpeed

_WHOLE = "whole step"


def suite_markdown(results: SuiteResults) -> str:
    """The machine, then a table for scoring, its stages, the tasks and the yardstick, as far as measured."""
    machine = results.machine
    parts = [f"{machine.processor}, {machine.cores} cores, JAX {machine.jax}, {machine.date}.\n"]
    if results.scoring:
        parts += ["## Scoring\n", _scoring(results.scoring), "### Stage by stage\n", _stages(results.scoring)]
    if results.tasks:
        parts += ["## From pictures to results\n", _tasks(results.tasks)]
    if results.yardstick:
        parts += ["## Beside the published shape of work\n", _yardstick(results.yardstick)]
    return "\n".join(parts)


def _scoring(rows: dict[str, BenchmarkResults]) -> str:
    headings = (
        *("row", "precision", "batch", "images/s", "GFLOP per image", "of matmul", "by processor time"),
        *("first call, s", "peak memory, GiB"),
    )
    return _table(
        headings,
        (
            (name, row.precision, formats.count(row.batch_size), *_speed(row.stages[_WHOLE]), _gib(row))
            for name, row in rows.items()
        ),
    )


def _stages(rows: dict[str, BenchmarkResults]) -> str:
    headings = (
        "row",
        "stage",
        "images/s",
        "GFLOP per image",
        "of matmul",
        "by processor time",
        "first call, s",
    )
    return _table(
        headings,
        (
            (name, stage, *_speed(speed))
            for name, row in rows.items()
            for stage, speed in row.stages.items()
            if stage not in ("matmul", _WHOLE)
        ),
    )


def _speed(speed: StageSpeed) -> tuple[str, ...]:
    return (
        _number(speed.images_per_s),
        _number(speed.gflop_per_image),
        _share(speed.share_of_matmul),
        _share(speed.share_of_matmul_cpu),
        _number(speed.first_call_s),
    )


def _tasks(rows: dict[str, TaskCost]) -> str:
    headings = (
        *("row", "task", "target", "images", "devices", "seconds", "processor seconds", "first result, s"),
        "peak memory, GiB",
    )
    return _table(
        headings,
        (
            (
                name,
                row.task,
                row.target,
                formats.count(row.num_images),
                formats.count(row.num_devices),
                *map(_number, (row.seconds, row.cpu_seconds, row.first_result_s)),
                _gib(row),
            )
            for name, row in rows.items()
        ),
    )


def _yardstick(rows: dict[str, YardstickSpeed]) -> str:
    headings = ("row", "precision", "batch", "ours, s", "yardstick, s", "times as fast", "by processor time")
    return _table(
        headings,
        (
            (
                name,
                row.precision,
                formats.count(row.batch_size),
                *map(_number, (row.seconds, row.yardstick_seconds)),
                formats.decimal(row.speedup, 2),
                formats.decimal(row.speedup_cpu, 2),
            )
            for name, row in rows.items()
        ),
    )


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}%"


def _gib(row: BenchmarkResults | TaskCost) -> str:
    return f"{row.peak_memory_bytes / 2**30:.2f}"
