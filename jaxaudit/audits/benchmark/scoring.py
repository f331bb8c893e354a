"""The stages of scoring with one target, as results."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jaxaudit.attacks.registry import Access
from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.benchmark.stages import check_benchmark, compute_dtype, scoring_stages
from jaxaudit.audits.benchmark.timing import matrix_product, time_in_turn
from jaxaudit.checkpoint import builtin_names, load_target, random_target, read_record
from jaxaudit.families import FAMILIES
from jaxaudit.results import BenchmarkResults
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.resident import peak_resident
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True)
class TimingConfig:
    """What is timed, and how long.

    Attributes:
      scores, access: of the whole step, as for audits.
      rounds: timed calls of every stage.
      side: of the square matrix product.
      seed: of pictures and labels.
      placement: where batches run.
    """

    scores: tuple[str, ...] = ("all",)
    access: Access = "white-box"
    rounds: int = 5
    side: int = 4096
    seed: int = 0
    placement: Placement = dataclasses.field(default_factory=lambda: Placement(batch_size=4))


def benchmark_target(name: str, *, precision: str = "float32") -> Target:
    """A target that comes with jaxaudit, or a released model's shape with random weights."""
    if name in builtin_names():
        return load_target(name, dtype=precision)
    return random_target(name, dtype=precision)


def benchmark_config(name: str) -> Mapping[str, Any]:
    """The shape of `benchmark_target`, {"generator": fields of its config, "tokenizer": likewise}."""
    if name in builtin_names():
        return read_record(name)["config"]
    return next(family.VARIANTS[name].config for family in FAMILIES.values() if name in family.VARIANTS)


def measure_scoring(
    target: Target, config: TimingConfig = TimingConfig(), *, precision: str = "float32"
) -> BenchmarkResults:
    """Times every stage of scoring with a target, and the whole step, in turn with a matrix product.

    Args:
      target: of classes or unconditional.
      config: see `TimingConfig`.
      precision: that of the target, for the record.

    Raises:
      InputError: if the target reads captions, or has no such scores.
    """
    check_benchmark(target)
    placement = config.placement
    mesh = placement.mesh(target.params, target.partition)
    scorer = Scorer(target, config.scores, access=config.access, mesh=mesh, parallelism=placement.parallelism)
    with tempfile.TemporaryDirectory() as folder:
        stages = scoring_stages(scorer, Path(folder), batch_size=placement.batch_size, seed=config.seed)
        speeds = time_in_turn(
            stages,
            matrix_product(config.side, compute_dtype(target)),
            rounds=config.rounds,
            batch_size=placement.batch_size,
        )
    return BenchmarkResults(
        target=target.name,
        device=jax.local_devices()[0].device_kind,
        num_devices=mesh.size,
        batch_size=placement.batch_size,
        precision=precision,
        evaluations_per_image=scorer.evaluations(),
        peak_memory_bytes=peak_memory(),
        stages=speeds,
    )


def peak_memory() -> int:
    """Bytes: of the device where it keeps count, of this process since it began otherwise."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use", peak_resident())
