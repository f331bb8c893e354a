"""Many steps, compiled one after the other into a file that a killed run goes on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax

from jaxaudit.audits.capacity.compiling import compile_setting
from jaxaudit.checkpoint import check_known
from jaxaudit.families import FAMILIES, Family
from jaxaudit.results import CompiledStep, CompiledSteps, StepSetting, read_results, replace, write_results
from jaxaudit.runtime.devices import get_device
from jaxaudit.runtime.progress import Progress, silent

_MOST_PIECES = 8

SIZES = ("smallest", "largest")
TABLE: dict[str, Sequence[str]] = {
    "v5e": SIZES,
    "h100": SIZES,
    "v5p": SIZES[:1],
    "v6e": SIZES[:1],
}
"""The table of the documentation: {device: which released model of every family}."""


def table_settings(targets: Iterable[str], devices: Iterable[str], *, like: StepSetting) -> list[StepSetting]:
    """A setting for each target on each device, small models first.

    Args:
      targets: names; "smallest" and "largest" stand for one released model of every family.
      devices: names.
      like: what they have in common.

    Raises:
      InputError: if there is no such target, with the nearest names.
    """
    names = dict.fromkeys(name for target in targets for name in _named(target))
    for name in names:
        check_known(name)
    sizes = {name: sum(v.num_params.values()) for f in FAMILIES.values() for name, v in f.VARIANTS.items()}
    ordered = sorted(names, key=lambda name: sizes.get(name, 0))
    return [replace(like, target=name, device=device) for name in ordered for device in devices]


def compile_missing(
    path: str | os.PathLike[str],
    settings: Sequence[StepSetting],
    *,
    compile_one: Callable[[StepSetting], CompiledStep] = compile_setting,
    progress: Progress = silent,
) -> CompiledSteps:
    """Compiles what the file does not hold yet; each step is in the file as soon as it is compiled.

    What does not fit is compiled again for twice the devices, each parameter split over them, up to eight.

    Args:
      path: a `CompiledSteps` document, made if it is missing. One process at a time writes to it.
      settings: in order.
      compile_one: what makes a step of a setting.
      progress: hears which is being compiled.

    Returns:
      What the file holds now.

    Raises:
      InputError: if the file holds something else, or as `compile_setting`.
    """
    known = read_results(path, CompiledSteps) if os.path.lexists(path) else CompiledSteps(steps=[])
    found = {step.setting: step for step in known.steps}
    for ended, setting in enumerate(settings):
        wanted: StepSetting | None = setting
        while wanted is not None:
            if wanted not in found:
                progress(ended, len(settings), f"Compiling {wanted.target} for {wanted.device}")
                found[wanted] = compile_one(wanted)
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                write_results(path, CompiledSteps(steps=list(found.values())))
                jax.clear_caches()  # traces of large models, which nothing needs again
            wanted = None if fits(found[wanted]) else _split_more(wanted)
    return CompiledSteps(steps=list(found.values()))


def fits(step: CompiledStep) -> bool:
    """Whether a device has room for the step."""
    device = get_device(step.setting.device)
    return step.memory is not None and step.memory.total <= device.chip.usable * device.memory


def _split_more(setting: StepSetting) -> StepSetting | None:
    if setting.split >= _MOST_PIECES:
        return None
    return replace(setting, num_devices=2 * setting.num_devices, split=2 * setting.split)


def _named(target: str) -> list[str]:
    chosen = {"smallest": min, "largest": max}.get(target)
    if chosen is None:
        return [target]
    return [chosen(family.VARIANTS, key=lambda name: _size(family, name)) for family in FAMILIES.values()]


def _size(family: Family, name: str) -> int:
    return sum(family.VARIANTS[name].num_params.values())
