"""From a target and its training pictures to UnitMem of every hidden unit: one pass, constant memory.

    DIRECTORY/manifest.json      what was asked, and of what
    DIRECTORY/state-0.npz        running statistics of process 0, removed in the end
    DIRECTORY/units.npz          the result, a `UnitMap`

Pictures are taken class by class, so that class means need no array per class: memory is a few arrays of the
units' shape for each subset, whatever the number of pictures and classes. Subsets of different sizes are
nested and share the pass. A killed run goes on after the last part (some whole classes) it had finished.

Axes: N pictures, R nested subsets, T stages, U units (`jaxaudit.evidence.units`).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.condition import condition_of, resolve_condition
from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.audits.localization.running import RunningUnits, unit_map
from jaxaudit.audits.localization.subsets import Selection, choose
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.audits.request import measurement_request
from jaxaudit.data import PictureBatch, Source, batches
from jaxaudit.errors import InputError
from jaxaudit.evidence import UNITS, UnitMap, claim
from jaxaudit.evidence.units import FILE
from jaxaudit.runtime.parallel import Pending, one_in_flight
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.processes import my_share, wait_for_all_processes
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target
from jaxaudit_kernels.unit_memorization import no_items, observe


@dataclasses.dataclass(frozen=True)
class LocalizeConfig:
    """How units are measured.

    Attributes:
      subsets: shares of the source, each in (0, 1]; a subset has as many pictures of each class, as far as
        there are, and contains the smaller ones. None: all of up to 20,000 pictures, 1% of more.
      seed: of the subsets, views, hidden tokens and noise.
      views: the views of a picture.
      timestep, mask_ratio: see `ActivationMeter`.
      placement: where batches of pictures, each with all its views, run; nothing of it changes a result
        beyond rounding.
      part_size: pictures that are lost when a run is killed, about.

    Raises:
      InputError: if a share is not in (0, 1].
    """

    subsets: tuple[float, ...] | None = None
    seed: int = 0
    views: Views = dataclasses.field(default_factory=Views)
    timestep: int | None = None
    mask_ratio: float | None = None
    placement: Placement = dataclasses.field(default_factory=lambda: Placement(batch_size=8))
    part_size: int = 512

    def __post_init__(self):
        for share in self.subsets or ():
            if not 0 < share <= 1:
                raise InputError(f"A subset of {share} of the pictures is not in (0, 1].")


def localize(
    target: Target,
    source: Source,
    directory: str | os.PathLike,
    config: LocalizeConfig = LocalizeConfig(),
    *,
    progress: Progress = silent,
) -> UnitMap:
    """Measures UnitMem of every hidden unit over (subsets of) the pictures a target was trained on.

    An earlier run of the same request in `directory` is continued. With several processes
    (`jaxaudit.runtime.processes.initialize_processes`) each takes its share of the classes.

    Args:
      target: what is measured.
      source: pictures it was trained on; for a control, pictures it was not.
      directory: created if missing.
      config: see `LocalizeConfig`.
      progress: hears of pictures measured by this process.

    Raises:
      InputError: if options do not fit the target, pictures cannot be used, labels do not mean the target's
        classes or captions are missing, a subset holds fewer than two pictures, or the folder holds another
        request.
    """
    directory = Path(directory)
    meter = ActivationMeter(
        target,
        config.views,
        timestep=config.timestep,
        mask_ratio=config.mask_ratio,
        key=jax.random.key(config.seed),
        mesh=config.placement.mesh(target.params, target.partition),
        parallelism=config.placement.parallelism,
    )
    chosen = choose(resolve_condition(source, target), config.subsets, config.seed)
    pictures = look(chosen.source, config.views.canvas(target.preprocessing), progress)
    chosen = chosen.keep(pictures)
    if min(chosen.sizes) < 2:
        raise InputError(
            f"{chosen.shares[0]:g} of the {len(source)} pictures of {source.spec} are {chosen.sizes[0]}; "
            "UnitMem compares a picture with others, so take a larger subset."
        )
    run = {"target": target.name, **config.placement.record(meter.mesh)}
    claim(directory, UNITS, _request(target, chosen, pictures, config), run)
    wait_for_all_processes("localize: request")
    if not (directory / FILE).exists():
        states = _measure(meter, chosen, pictures, directory, config, progress)
        if jax.process_index() == 0:
            unit_map(states, chosen, stages=meter.stages, axis=meter.axis).save(directory)
            for path in directory.glob("state-*.npz"):
                path.unlink(missing_ok=True)
        wait_for_all_processes("localize: result")
    progress(len(chosen.source), len(chosen.source), _doing(chosen))
    return UnitMap.load(directory)


def _doing(chosen: Selection) -> str:
    return f"Measuring the units on {chosen.source.spec}"


def _request(target: Target, chosen: Selection, pictures: Pictures, config: LocalizeConfig) -> dict[str, Any]:
    """Everything a result depends on."""
    return {
        **measurement_request(target, config.seed),
        **pictures.request,
        "subsets": list(chosen.shares),
        "views": dataclasses.asdict(config.views),
        "timestep": config.timestep,
        "mask_ratio": config.mask_ratio,
        "part_size": config.part_size,
    }


def _measure(
    meter: ActivationMeter,
    chosen: Selection,
    pictures: Pictures,
    directory: Path,
    config: LocalizeConfig,
    progress: Progress,
) -> list[RunningUnits]:
    """The states of all processes in the end."""
    num_subsets = len(chosen.shares)
    path = directory / f"state-{jax.process_index()}.npz"
    found = _states(directory, num_subsets, progress)
    state = found.pop(path, None) or RunningUnits.empty(meter.shape, num_subsets)
    finished = {part for each in _different([state, *found.values()]) for part in each.parts}
    wait_for_all_processes("localize: start")  # so that no process writes before all have read
    parts = list(chosen.parts(config.part_size))
    mine = my_share([i for i in range(len(parts)) if i not in finished])
    earlier = sum(len(parts[i]) for i in state.parts)
    total, done = earlier + sum(len(parts[i]) for i in mine), earlier
    for part in mine:
        _measure_part(meter, chosen, pictures, parts[part], state, config.placement.batch_size)
        state.parts.append(part)
        state.save(path)
        done += len(parts[part])
        progress(done, total, _doing(chosen))
    wait_for_all_processes("localize: end")
    found = _states(directory, num_subsets, progress)
    states = _different([state, *(each for file, each in found.items() if file != path)])
    if sum(len(each.parts) for each in states) < len(parts):
        raise InputError(
            f"Another run writes to {directory} at the same time; let it finish, and run this again."
        )
    return states


def _states(directory: Path, num_subsets: int, progress: Progress) -> dict[Path, RunningUnits]:
    """What processes have left; one that cannot be read counts as not there, which `progress` hears of."""
    found = {}
    for file in sorted(directory.glob("state-*.npz")):
        try:
            found[file] = RunningUnits.load(file, num_subsets)
        except InputError as error:
            progress(0, 0, f"{str(error).rstrip('.')}; it is measured again")
    return found


def _different(states: Sequence[RunningUnits]) -> list[RunningUnits]:
    """The states but for those that hold a part of one before, which another run may have left."""
    kept, parts = [], set()
    for state in states:
        if parts.isdisjoint(state.parts):
            kept.append(state)
            parts.update(state.parts)
    return kept


def _measure_part(
    meter: ActivationMeter,
    chosen: Selection,
    pictures: Pictures,
    part: range,
    state: RunningUnits,
    batch_size: int,
) -> None:
    """Adds the classes of a part to the state."""
    labels, tiers = chosen.labels, chosen.tiers
    label, of_class = labels[part.start], [no_items(meter.shape) for _ in chosen.shares]
    for rows, means in unit_means(meter, pictures, part, batch_size):
        for (run_label, tier), run in itertools.groupby(rows, lambda row: (labels[row], tiers[row])):
            if run_label != label:
                state.add_class(int(label), of_class)
                label, of_class = run_label, [no_items(meter.shape) for _ in chosen.shares]
            run = np.array(list(run))
            of_class[tier] = observe(of_class[tier], means[run - rows.start], run)
    state.add_class(int(label), of_class)


def unit_means(
    meter: ActivationMeter, pictures: Pictures, part: range, batch_size: int
) -> Iterator[tuple[range, Float[np.ndarray, "B T U"]]]:
    """The mean activations on the pictures of a part of a source, in order: (their places, values)."""

    def submit(batch: PictureBatch) -> Pending:
        condition = condition_of(meter.target, batch)
        return meter.submit(batch.images, condition, ids=batch.ids, padded_size=batch_size)

    first = part.start
    canvas = meter.views.canvas(meter.target.preprocessing)
    read = batches(pictures.source, part, canvas, batch_size)
    for batch, means in one_in_flight(pictures.unchanged(read), submit):
        rows = range(first, first + len(batch.ids))
        yield rows, means
        first = rows.stop
