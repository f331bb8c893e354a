"""Where the time of an audit goes: the file of `experiments.benchmark`."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record


class StageSpeed(Record, frozen=True):
    """One stage; None where a number does not apply.

    Attributes:
      images_per_s: None for the matrix product.
      gflop_per_image, gflop_per_s: 10⁹ floating-point operations; None for work outside JAX.
      share_of_matmul: speed over that of the matrix products before and after it, median over rounds.
      share_of_matmul_cpu: the same by processor seconds, which other programs on the machine take less of.
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
