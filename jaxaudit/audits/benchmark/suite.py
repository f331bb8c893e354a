"""Every family, stage and task in one run that can be killed and go on.

    DIRECTORY/manifest.json      whose folder it is
    DIRECTORY/rows/NAME.json     a row that was measured, a `SuiteResults` of one row

Every row is measured in a process of its own, so that its peak memory and the time to its first result are
its own, and a kill loses one row.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax

from jaxaudit.audits.benchmark.scoring import TimingConfig, benchmark_target, measure_scoring
from jaxaudit.audits.benchmark.tasks import measure_task
from jaxaudit.evidence.claims import Contents, claim
from jaxaudit.paths import Location, as_place, make_folder
from jaxaudit.results import (
    BenchmarkResults,
    Machine,
    Record,
    SuiteResults,
    TaskCost,
    read_results,
    replace,
    write_results,
)
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import Progress, silent

SUITE = Contents("a suite of benchmarks")


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
      name: of its file.
      part: of the results where it stands.
      measure: what makes its record; importable, so that another process can call it.
      arguments: of `measure`, JSON-able.
      num_devices: to simulate.
    """

    name: str
    part: Literal["scoring", "tasks", "yardstick"]
    measure: Callable[..., Record]
    arguments: dict[str, Any]
    num_devices: int = 1


def scoring_row(name: str, target: str, **options: Any) -> Row:
    """The stages of scoring with a target; options are those of `_score`."""
    return Row(name, "scoring", _score, {"target": target, **options})


def task_row(name: str, task: str, target: str, num_images: int, batch_size: int, *, devices: int = 1) -> Row:
    """A task of `jaxaudit.audits.benchmark.tasks` on drawn pictures."""
    arguments = {
        "task": task,
        "target": target,
        "num_images": num_images,
        "batch_size": batch_size,
        "num_devices": devices,
    }
    return Row(name, "tasks", _task, arguments, devices)


def _score(
    *,
    target: str,
    precision: str = "float32",
    scores: tuple[str, ...] = ("all",),
    access: Any = "white-box",
    batch_size: int = 4,
    rounds: int = 5,
    side: int = 4096,
) -> BenchmarkResults:
    config = TimingConfig(
        scores=tuple(scores),
        access=access,
        rounds=rounds,
        side=side,
        placement=Placement(batch_size=batch_size, num_devices=1),
    )
    return measure_scoring(benchmark_target(target, precision=precision), config, precision=precision)


def _task(*, task: str, target: str, num_images: int, batch_size: int, num_devices: int) -> TaskCost:
    placement = Placement(batch_size=batch_size, num_devices=num_devices)
    return measure_task(task, benchmark_target(target), num_images=num_images, placement=placement)


_DEVICES = (1, 2, 4, 8)

FULL = (
    scoring_row("var_d16", "var_d16"),
    scoring_row("var_d16_bfloat16", "var_d16", precision="bfloat16", rounds=3),
    scoring_row("rar_b", "rar_b"),
    scoring_row("mar_base", "mar_base", rounds=3),
    scoring_row("dit_xl_2_256", "dit_xl_2_256", access="gray-box", batch_size=1, rounds=3),
    scoring_row(
        "dit_xl_2_256_gradients",
        "dit_xl_2_256",
        scores=("gradient_masking_500", "noise_opt_error"),
        batch_size=1,
        rounds=3,
    ),
    scoring_row("uvit_h_2_256", "uvit_h_2_256", access="gray-box", batch_size=1, rounds=3),
    task_row("ranking_var_d16", "ranking", "var_d16", 16, 4),
    task_row("units_var_d16", "units", "var_d16", 8, 4),
    task_row("audit_1000", "audit", "digits_var", 1000, 64),
    task_row("audit_10000", "audit", "digits_var", 10_000, 64),
    task_row("statistics_900", "statistics", "digits_var", 900, 64),
    task_row("statistics_9000", "statistics", "digits_var", 9000, 64),
    task_row("ranking_1000", "ranking", "digits_var", 1000, 64),
    task_row("ranking_10000", "ranking", "digits_var", 10_000, 64),
    *(task_row(f"devices_{count}", "audit", "digits_var", 4000, 64, devices=count) for count in _DEVICES),
)
"""About half an hour of two quiet cores."""

QUICK = (
    *(
        scoring_row(name, name, side=256, rounds=1, access="gray-box")
        for name in ("digits_var", "digits_rar", "digits_mar", "digits_dit", "digits_uvit")
    ),
    task_row("audit_100", "audit", "digits_var", 100, 16),
    task_row("audit_1000", "audit", "digits_var", 1000, 16),
    task_row("statistics_200", "statistics", "digits_var", 200, 16),
    task_row("ranking_100", "ranking", "digits_var", 100, 16),
    task_row("units_40", "units", "digits_var", 40, 8),
)
"""A few minutes, of built-in targets: that everything works."""

SUITES = {"full": FULL, "quick": QUICK}


def run_suite(
    rows: Iterable[Row], directory: Location, *, apart: bool = True, progress: Progress = silent
) -> SuiteResults:
    """Measures the rows that are not there yet, and returns all.

    Args:
      rows: what to measure.
      directory: created if missing.
      apart: whether each row gets a process of its own.
      progress: hears of rows.

    Raises:
      InputError: if the folder holds something else, or a row cannot be measured.
    """
    rows, directory = tuple(rows), as_place(directory)
    claim(directory, SUITE, {"rows": [{"name": row.name, **row.arguments} for row in rows]})
    make_folder(directory / "rows")
    found = []
    for done, row in enumerate(rows):
        progress(done, len(rows), f"Measuring {row.name}")
        path = directory / "rows" / f"{row.name}.json"
        if not path.exists():
            measured: Any = _in_a_process(row) if apart else row.measure(**row.arguments)
            write_results(
                path, replace(SuiteResults(machine=this_machine()), **{row.part: {row.name: measured}})
            )
        found.append(read_results(path, SuiteResults))
    progress(len(rows), len(rows), "Measuring")
    return SuiteResults(
        machine=max((each.machine for each in found), key=lambda machine: machine.date),
        scoring={name: record for each in found for name, record in each.scoring.items()},
        tasks={name: record for each in found for name, record in each.tasks.items()},
        yardstick={name: record for each in found for name, record in each.yardstick.items()},
    )


def this_machine() -> Machine:
    """The model of the processor, not its name."""
    processor = platform.processor() or platform.machine()
    if (facts := Path("/proc/cpuinfo")).exists():
        lines = (line.partition(":") for line in facts.read_text().splitlines())
        processor = next((value.strip() for key, _, value in lines if key.strip() == "model name"), processor)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    today = datetime.datetime.now(datetime.UTC).date()
    return Machine(processor=processor, cores=cores, jax=version("jax"), date=today.isoformat())


def _in_a_process(row: Row) -> Record:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, row).result()


def _measure(row: Row) -> Record:
    """In a process in which JAX has not started yet."""
    jax.config.update("jax_num_cpu_devices", row.num_devices)
    return row.measure(**row.arguments)
