"""What an audit asks of hardware, before it is there: the file of `experiments.plan`."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.compiled import StepMemory, StepSetting


class DiskSpace(Record, frozen=True):
    """Bytes: of the scores of all pictures, of what is known of them beforehand, and of the weights."""

    evidence: int
    index: int
    checkpoint: int


class Assumptions(Record, frozen=True):
    """What time and memory are estimated with.

    Attributes:
      peak_flops, bandwidth: of one device, from its data sheet (`source`), per second.
      share_of_peak: of the arithmetic that the step reaches while it is not waiting for memory.
      images_per_core: pictures that one core decodes and resizes in a second.
      usable_memory: share of a device's memory that a step may take.
    """

    peak_flops: float
    bandwidth: float
    source: str
    share_of_peak: float
    images_per_core: float
    usable_memory: float


class CapacityPlan(Document, frozen=True, kw_only=True):
    """How long an audit takes on devices, and what it needs.

    Attributes:
      setting: the step; its batch is the largest power of two on every device that fits.
      device_memory: bytes of one device.
      num_images: of both sides.
      gflop_per_image: 10⁹ operations of matrix products and convolutions.
      gbyte_per_image: 10⁹ bytes that one device reads and writes, as modelled.
      images_per_s: of all devices. limit: what bounds it.
      hours: of scoring, loading beside it.
      memory: of one device. memory_from: the compiler, or a model of it.
      memory_error: by how much, as a share, the temporaries of that model differed at most where they were
        compared with a compiler's; None from the compiler.
      cores: that loading keeps busy, over all hosts.
      price_per_hour: of one device. price: of all hours and devices. Both None if no rate was given.
    """

    format: Literal[1] = 1
    setting: StepSetting
    device_memory: int
    num_images: int
    gflop_per_image: float
    gbyte_per_image: float
    images_per_s: float
    limit: Literal["arithmetic", "memory traffic"]
    hours: float
    memory: StepMemory
    memory_from: Literal["compiler", "model"]
    memory_error: float | None
    cores: int
    disk: DiskSpace
    price_per_hour: float | None
    price: float | None
    assumptions: Assumptions
