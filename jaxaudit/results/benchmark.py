"""What an audit costs on one machine: the files of `experiments.benchmark`."""

from __future__ import annotations

from typing import Literal

import msgspec

from jaxaudit.results.codec import Document, Record


class StageSpeed(Record, frozen=True):
    """One stage; None where a number does not apply.

    Attributes:
      images_per_s: None for the matrix product.
      gflop_per_image, gflop_per_s: 10⁹ floating-point operations; None for work outside JAX.
      share_of_matmul: speed over that of the matrix products before and after it, median over rounds.
      share_of_matmul_cpu: the same by processor seconds, of which other programs take nothing.
      first_call_s: seconds of the first call, which compiles.
    """

    images_per_s: float | None
    gflop_per_image: float | None
    gflop_per_s: float | None
    share_of_matmul: float | None
    share_of_matmul_cpu: float | None = None
    first_call_s: float | None = None


class BenchmarkResults(Document, frozen=True, kw_only=True):
    """The stages of an audit of one target on one machine, the matrix product among them."""

    format: Literal[1] = 1
    target: str
    device: str
    num_devices: int
    batch_size: int
    precision: str
    evaluations_per_image: dict[str, dict[str, int]] | None
    peak_memory_bytes: int
    stages: dict[str, StageSpeed]


class TaskCost(Record, frozen=True, kw_only=True):
    """One piece of an audit, from pictures on disk to its result.

    Attributes:
      task: what was done.
      target: with which model.
      num_images, num_devices: on how many.
      seconds, cpu_seconds: that passed, and that the processors spent; nothing had to be compiled any more.
      first_result_s: seconds that a batch of pictures took before, compilation among them.
      peak_memory_bytes: of the process.
    """

    task: str
    target: str
    num_images: int
    num_devices: int
    seconds: float
    cpu_seconds: float
    first_result_s: float
    peak_memory_bytes: int


class YardstickSpeed(Record, frozen=True, kw_only=True):
    """One target beside a plain PyTorch program with the published pipeline's shape of work, timed in turn.

    Attributes:
      target, precision, scores, batch_size: of what was timed.
      seconds, yardstick_seconds: of a batch, median over rounds.
      speedup: the yardstick's seconds over ours, median over rounds.
      speedup_cpu: the same by processor seconds, of which other programs take nothing.
    """

    target: str
    precision: str
    scores: tuple[str, ...]
    batch_size: int
    seconds: float
    yardstick_seconds: float
    speedup: float
    speedup_cpu: float


class Machine(Record, frozen=True):
    """Where the suite ran.

    Attributes:
      processor: its model.
      cores: that the process may use.
      jax: version.
      date: of the last row, ISO 8601.
    """

    processor: str
    cores: int
    jax: str
    date: str


class SuiteResults(Document, frozen=True, kw_only=True):
    """Rows of the suite by name; while it runs, a file for each row."""

    format: Literal[1] = 1
    machine: Machine
    scoring: dict[str, BenchmarkResults] = msgspec.field(default_factory=dict)
    tasks: dict[str, TaskCost] = msgspec.field(default_factory=dict)
    yardstick: dict[str, YardstickSpeed] = msgspec.field(default_factory=dict)
