"""Pieces of an audit as a whole, from files to a result: what a number of pictures costs.

    audit        the evidence of n pictures, half of either side, on disk
    statistics   the verdict, from that evidence
    ranking      n pictures ranked as candidates of extraction
    units        UnitMem of every hidden unit over n pictures

Each is done for one batch first (statistics: for as many pictures as a verdict needs), which compiles, then
for all.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.benchmark.scoring import peak_memory
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.extraction import ExtractionConfig, rank_candidates
from jaxaudit.audits.localization.pipeline import LocalizeConfig, localize
from jaxaudit.data import Source, open_source
from jaxaudit.evidence import Evidence
from jaxaudit.results import TaskCost
from jaxaudit.runtime.placement import Placement
from jaxaudit.stats import FEWEST
from jaxaudit.targets import Target

Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Task:
    """A piece of an audit.

    Attributes:
      setup: (target, source, folder, placement) -> what is timed.
      fewest: pictures it can do with.
    """

    setup: Callable[[Target, Source, Path, Placement], Work]
    fewest: int = 2


def measure_task(
    task: str, target: Target, *, num_images: int, placement: Placement, seed: int = 0
) -> TaskCost:
    """What a task of `TASKS` costs for `num_images` drawn pictures."""
    generator = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        few = max(placement.batch_size, TASKS[task].fewest)
        first = _seconds(_work(task, target, few, placement, Path(folder) / "first", generator))
        work = _work(task, target, num_images, placement, Path(folder) / "all", generator)
        wall, cpu = _seconds(work)
    return TaskCost(
        task=task,
        target=target.name,
        num_images=num_images,
        num_devices=placement.mesh(target.params, target.partition).size,
        seconds=wall,
        cpu_seconds=cpu,
        first_result_s=first[0],
        peak_memory_bytes=peak_memory(),
    )


def _work(
    task: str, target: Target, count: int, placement: Placement, folder: Path, generator: np.random.Generator
) -> Work:
    folder.mkdir()
    side = target.preprocessing.image_size
    pixels = generator.integers(0, 256, (count, side, side, 3), np.uint8)
    labels = np.arange(count) % max(target.num_classes, 1)
    np.savez(folder / "pictures.npz", images=pixels, labels=labels)
    return TASKS[task].setup(target, open_source(f"npz:{folder / 'pictures.npz'}"), folder, placement)


def _seconds(work: Work) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _audit(target: Target, source: Source, folder: Path, placement: Placement) -> Callable[[], Evidence]:
    half = len(source) // 2
    sides = source.take(range(half)), source.take(range(half, 2 * half))
    config = CollectConfig(placement=placement)
    return lambda: collect_evidence(target, *sides, folder / "evidence", config)


def _statistics(target: Target, source: Source, folder: Path, placement: Placement) -> Work:
    evidence = _audit(target, source, folder, placement)()
    return lambda: assess(evidence, AssessConfig())


def _ranking(target: Target, source: Source, folder: Path, placement: Placement) -> Work:
    config = ExtractionConfig(placement=placement)
    return lambda: rank_candidates(target, source, config)


def _units(target: Target, source: Source, folder: Path, placement: Placement) -> Work:
    config = LocalizeConfig(subsets=(1.0,), placement=placement)
    return lambda: localize(target, source, folder / "units", config)


TASKS: dict[str, Task] = {
    "audit": Task(_audit),
    "statistics": Task(_statistics, 2 * FEWEST),
    "ranking": Task(_ranking),
    "units": Task(_units),
}
"""By name."""
