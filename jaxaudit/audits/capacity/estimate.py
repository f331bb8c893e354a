"""Hours, memory, cores, disk and price of an audit on hardware that need not be here.

With the work F (operations) and the traffic M (bytes) of an image, a device's peak P and bandwidth W, the
share η of the peak that is reached, and D devices:

    (1)  images per second  r = D / max(F / (η P), M / W)
    (2)  hours              = images / r / 3600
    (3)  cores              = r / images per second that one core loads

F is counted on the traced step, M modelled (`jaxaudit.runtime.memory`), P and W are the maker's. Where a
device is too small for the parameters they are split over as few as hold them, as audits do; these then share
the work of a batch evenly, and what they exchange is not counted. The batch is the largest power of two whose
step fits. Its memory is the compiler's where that is installed and asked, and a model of it otherwise.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import jax

from jaxaudit.attacks.registry import ScorePlan
from jaxaudit.audits.capacity.compiling import compile_setting
from jaxaudit.audits.capacity.modelled import MEMORY_ERROR, modelled_memory
from jaxaudit.audits.capacity.shapes import abstract_step
from jaxaudit.data import BLIND_NAMES
from jaxaudit.errors import InputError
from jaxaudit.results import (
    Assumptions,
    CapacityPlan,
    DiskSpace,
    StepMemory,
    StepSetting,
    replace,
)
from jaxaudit.runtime.devices import Device, get_device
from jaxaudit.runtime.placement import smallest_split
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

Limit = Literal["arithmetic", "memory traffic"]

_LARGEST_BATCH = 1024  # per device, or per group of devices that hold the parameters together
_NAMES = 250  # bytes of a row's texts: id, digest, cluster, copy
_INDEX = 400  # bytes of a row of the index of pictures


@dataclasses.dataclass(frozen=True)
class CapacityConfig:
    """What is taken for granted.

    Attributes:
      share_of_peak: η.
      images_per_core: that one core decodes and resizes in a second; ImageNet's JPEGs to 256 pixels.
      price_per_hour: of one device, None if nobody asks.
      compiled: whether the compiler is asked for the memory, which takes minutes for large models.

    Raises:
      InputError: if a number is out of range.
    """

    share_of_peak: float = 0.4
    images_per_core: float = 100.0
    price_per_hour: float | None = None
    compiled: bool = False

    def __post_init__(self):
        if not 0 < self.share_of_peak <= 1:
            raise InputError(f"share_of_peak={self.share_of_peak} is no share, above 0 and at most 1.")
        if self.images_per_core <= 0:
            raise InputError(f"images_per_core={self.images_per_core} is not above 0.")
        if self.price_per_hour is not None and self.price_per_hour < 0:
            raise InputError(f"price_per_hour={self.price_per_hour} is below 0.")


def plan_capacity(
    setting: StepSetting,
    num_images: int,
    config: CapacityConfig = CapacityConfig(),
    *,
    progress: Progress = silent,
) -> CapacityPlan:
    """How long scoring `num_images` takes, and what it needs.

    Args:
      setting: target, devices and scores; a batch size of 0 asks for the largest power of two that fits, a
        split of 0 for the smallest that does.
      num_images: of both sides.
      config: what is taken for granted.
      progress: hears what is being done.

    Raises:
      InputError: for unknown names, a split that does not divide the devices, or if not even one image fits.
    """
    device = get_device(setting.device)
    progress(0, 0, f"Tracing {setting.target}")
    target, step, (inputs, batch) = abstract_step(replace(setting, batch_size=1))
    sized, memory, traffic = _fitting(setting, target, device, config, progress)
    flops = step.flops(inputs, batch)
    seconds: dict[Limit, float] = {
        "arithmetic": flops / (config.share_of_peak * device.peak),
        "memory traffic": traffic / device.bandwidth,
    }
    limit = max(seconds, key=lambda name: seconds[name])
    rate = setting.num_devices / seconds[limit]  # (1)
    hours = num_images / rate / 3600  # (2)
    plan = ScorePlan(step.scores)
    features = jax.eval_shape(step, inputs, batch)["features"]
    numbers = len(plan.names) - len(plan.fitted) + sum(map(len, features.values())) + len(BLIND_NAMES)
    price = config.price_per_hour
    return CapacityPlan(
        setting=sized,
        device_memory=device.memory,
        num_images=num_images,
        gflop_per_image=flops / 1e9,
        gbyte_per_image=traffic / 1e9,
        images_per_s=rate,
        limit=limit,
        hours=hours,
        memory=memory,
        memory_from="compiler" if config.compiled else "model",
        memory_error=None if config.compiled else MEMORY_ERROR[device.chip.platform],
        cores=math.ceil(rate / config.images_per_core),  # (3)
        disk=DiskSpace(
            evidence=num_images * (4 * numbers + _NAMES),
            index=num_images * _INDEX,
            checkpoint=4 * target.num_params,
        ),
        price_per_hour=price,
        price=None if price is None else price * hours * setting.num_devices,
        assumptions=Assumptions(
            peak_flops=device.peak,
            bandwidth=device.bandwidth,
            source=device.source,
            share_of_peak=config.share_of_peak,
            images_per_core=config.images_per_core,
            usable_memory=device.chip.usable,
        ),
    )


def _fitting(
    setting: StepSetting, target: Target, device: Device, config: CapacityConfig, progress: Progress
) -> tuple[StepSetting, StepMemory, float]:
    """The setting with a batch and a split that fit, the memory of a device, and the bytes an image moves."""
    room = device.chip.usable * device.memory
    for split in _splits(setting, target, room):
        groups = setting.num_devices // split
        alone = replace(setting, num_devices=split, split=split)

        def measured(rows: int, alone: StepSetting = alone) -> tuple[StepMemory, float]:
            return _measured(replace(alone, batch_size=rows), device, config, progress)

        rows = -(-setting.batch_size // groups) or _guess(alone, room)
        found = measured(rows)
        while found[0].total > room and rows > 1 and not setting.batch_size:
            rows //= 2
            found = measured(rows)
        if found[0].total <= room or setting.batch_size:
            return replace(setting, batch_size=rows * groups, split=split), *found
    needed, there = found[0].total / 2**30, device.memory / 2**30
    pieces = f" with its parameters split over {split} of {setting.num_devices} devices" if split > 1 else ""
    raise InputError(
        f"{setting.target} in {setting.precision} takes {needed:.1f} GiB for one image{pieces}; of the "
        f"{there:.0f} GiB of a {device.title}, {room / 2**30:.1f} can be used."
    )


def _splits(setting: StepSetting, target: Target, room: float) -> list[int]:
    """Those to be tried, the smallest first."""
    devices = setting.num_devices
    if setting.split:
        if devices % setting.split:
            raise InputError(f"Parameters cannot be split {setting.split} ways over {devices} device(s).")
        return [setting.split]
    least = smallest_split(target.params, target.partition, devices, room)
    return [split for split in range(least, devices + 1) if devices % split == 0]


def _measured(
    setting: StepSetting, device: Device, config: CapacityConfig, progress: Progress
) -> tuple[StepMemory, float]:
    memory, traffic = modelled_memory(*abstract_step(setting), split=setting.split)
    if config.compiled:
        progress(0, 0, f"Compiling {setting.target} for {setting.batch_size} images on {device.title}")
        compiled = compile_setting(setting).memory
        memory = compiled or StepMemory(device.memory, 0, 0)  # refused: it takes more than there is
    return memory, traffic / setting.batch_size


def _guess(setting: StepSetting, room: float) -> int:
    """The power of two that fits if temporaries grow with the batch as they do up to a few images."""
    few = 4
    memory, _ = modelled_memory(*abstract_step(replace(setting, batch_size=few)), split=setting.split)
    rows = (room - memory.arguments) / (memory.temporaries + memory.outputs) * few
    return min(2 ** math.floor(math.log2(rows)), _LARGEST_BATCH) if rows > 1 else 1
