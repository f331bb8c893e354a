"""Hours, memory, cores, disk and price of an audit on hardware that need not be here.

With the work F (operations) and the traffic M (bytes) of an image, a device's peak P and bandwidth W, the
share η of the peak that is reached, and D devices:

    (1)  images per second  r = D / max(F / (η P), M / W)
    (2)  hours              = images / r / 3600
    (3)  cores              = r / images per second that one core loads

F is counted on the traced step, M modelled (`jaxaudit.runtime.memory`), P and W are the maker's. Parameters
stand whole on every device, so batch and memory are those of one; the batch is the largest power of two whose
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
from jaxaudit.runtime.progress import Progress, silent

Limit = Literal["arithmetic", "memory traffic"]

_LARGEST_BATCH = 1024  # per device
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
      setting: target, devices and scores; a batch size of 0 asks for the largest power of two that fits.
      num_images: of both sides.
      config: what is taken for granted.
      progress: hears what is being done.

    Raises:
      InputError: for unknown names, or if not even one image fits a device.
    """
    device = get_device(setting.device)
    progress(0, 0, f"Tracing {setting.target}")
    target, step, (inputs, batch) = abstract_step(replace(setting, batch_size=1))
    sized, memory, traffic = _fitting(setting, device, config, progress)
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
    setting: StepSetting, device: Device, config: CapacityConfig, progress: Progress
) -> tuple[StepSetting, StepMemory, float]:
    """The setting with a batch that fits, the memory of a device, and the bytes that an image moves there."""
    room, devices = device.chip.usable * device.memory, setting.num_devices

    def measured(rows: int) -> tuple[StepMemory, float]:
        alone = replace(setting, batch_size=rows, num_devices=1)
        memory, traffic = modelled_memory(*abstract_step(alone))
        if config.compiled:
            progress(0, 0, f"Compiling {setting.target} for {rows} images on {device.title}")
            compiled = compile_setting(alone).memory
            memory = compiled or StepMemory(device.memory, 0, 0)  # refused: it takes more than there is
        return memory, traffic / rows

    if setting.batch_size:
        rows = -(-setting.batch_size // devices)
        return replace(setting, batch_size=rows * devices), *measured(rows)
    rows = _guess(setting, device, room)
    while (found := measured(rows))[0].total > room:
        if rows == 1:
            raise InputError(
                f"{setting.target} in {setting.precision} takes {found[0].total / 2**30:.1f} GiB for "
                f"one image; of the {device.memory / 2**30:.0f} GiB of a {device.title}, "
                f"{room / 2**30:.1f} can be used."
            )
        rows //= 2
    return replace(setting, batch_size=rows * devices), *found


def _guess(setting: StepSetting, device: Device, room: float) -> int:
    """The power of two that fits if temporaries grow with the batch as they do up to a few images."""
    few = 4
    memory, _ = modelled_memory(*abstract_step(replace(setting, batch_size=few)))
    rows = (room - memory.arguments) / (memory.temporaries + memory.outputs) * few
    return min(2 ** math.floor(math.log2(rows)), _LARGEST_BATCH) if rows > 1 else 1
