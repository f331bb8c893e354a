"""The errors of every picture at every step of every schedule, on disk.

Only independent pictures are walked: no altered copy of one of the other side, and of those that hang
together the first.

Axes: N pictures, S steps of a schedule, K blind features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxaudit.attacks import low_rank
from jaxaudit.attacks.condition import null_context, resolve_condition
from jaxaudit.attacks.schedule_attack import ScheduleAttack
from jaxaudit.attacks.schedules import BASELINE, GENERATION, NUM_NOISES, SIXTEEN
from jaxaudit.audits.collect import draw
from jaxaudit.audits.fill import filled
from jaxaudit.audits.independent import independent_pictures
from jaxaudit.audits.one_pass import one_pass
from jaxaudit.audits.pictures import Pictures, look_at_both
from jaxaudit.audits.request import measurement_request, null_request
from jaxaudit.data import Clusters, PictureBatch, Source
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import SPLITS, Contents, Shard, ShardFolder, check_finite, joined
from jaxaudit.paths import Location
from jaxaudit.runtime.parallel import Pending
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.schedules import FEWEST
from jaxaudit.targets import Given, Target

_CONTENTS = Contents("walks through a diffusion model")
_BLIND, _LABEL, _ID = "blind", "label", "sample_id"


@dataclasses.dataclass(frozen=True)
class WalkConfig:
    """How pictures are walked through a model.

    Attributes:
      schedules: which of the `SIXTEEN`; what they are compared to is always walked.
      num_noises: over which errors are averaged.
      num_samples: pictures of each side, drawn without replacement; 0 takes all.
      seed: of the draw of pictures and of all noise.
      placement: where batches run; nothing of it changes an error beyond rounding.
      shard_size: images per file, the unit that is lost when a run is killed.

    Raises:
      InputError: if a number is out of range, or a schedule is none of them, or there is none.
    """

    schedules: tuple[str, ...] = tuple(SIXTEEN)
    num_noises: int = NUM_NOISES
    num_samples: int = 0
    seed: int = 0
    placement: Placement = dataclasses.field(default_factory=Placement)
    shard_size: int = 64

    def __post_init__(self):
        for name, least in (("num_noises", 1), ("num_samples", 0), ("shard_size", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} is below {least}.")
        if not self.schedules:
            raise InputError(f"No schedule is named; there are {', '.join(SIXTEEN)}.")
        for name in self.schedules:
            if name not in SIXTEEN:
                raise unknown_name("schedule", name, SIXTEEN)


DEFAULTS = WalkConfig()
"""All sixteen, of all pictures."""


@dataclasses.dataclass(frozen=True, eq=False)
class Walks:
    """Of one side.

    Attributes:
      columns: {"7/latent": [N,S] minus the errors, ..., "low_rank": [N,1] log l*}.
      labels: [N] classes. blind: [N,K] features that never saw the model.
    """

    columns: dict[str, Float[np.ndarray, "N _"]]
    labels: Int[np.ndarray, " N"]
    blind: Float[np.ndarray, "N K"]


@dataclasses.dataclass(frozen=True, eq=False)
class Walked:
    """Both sides, and what was asked.

    Attributes:
      attack: what walked them.
      walks: {side: walks}.
      sources: {side: where its pictures come from}.
      config: see `WalkConfig`.
    """

    attack: ScheduleAttack
    walks: dict[str, Walks]
    sources: dict[str, Source]
    config: WalkConfig


def walk_pictures(
    target: Target,
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: WalkConfig = DEFAULTS,
    *,
    progress: Progress = silent,
) -> Walked:
    """Walks every independent picture of both sides and keeps the errors in `directory`.

    A run of the same request that was killed goes on where it stopped; several processes may share it.

    Args:
      target: a diffusion or flow model.
      members, nonmembers: pictures it was, and was not, trained on.
      directory: created if missing.
      config: see `WalkConfig`.
      progress: hears of pictures.

    Raises:
      InputError: if the target, a schedule or pictures do not fit, too few of them are independent, pictures
        are on both sides, or `directory` holds errors of another request.
    """
    sides: dict[str, Source] = dict(zip(SPLITS, (members, nonmembers), strict=True))
    resolved = {side: resolve_condition(source, target) for side, source in sides.items()}
    null = null_context(target, resolved.values())
    attack = ScheduleAttack(
        target,
        (*dict.fromkeys(config.schedules), BASELINE, GENERATION),
        num_noises=config.num_noises,
        key=jax.random.key(config.seed),
        null_context=null,
        mesh=config.placement.mesh(target.params, target.partition),
        parallelism=config.placement.parallelism,
    )
    if not attack.schedules.keys() & SIXTEEN.keys():
        raise InputError(f"No schedule is left: {attack.omitted[config.schedules[0]]}.")
    drawn = {side: draw(source, config.num_samples, config.seed) for side, source in resolved.items()}
    for side, source in drawn.items():
        _check_enough(len(source), side, source.spec)
    looked, clusters = look_at_both(drawn, target.preprocessing, progress)
    pictures = {side: _independent(looked[side], clusters[side], side) for side in SPLITS}
    progress(0, 0, f"Preparing {target.name}")
    request = {
        **measurement_request(target, config.seed),
        **{side: each.request for side, each in pictures.items()},
        **null_request(null),
        "schedules": {name: dataclasses.asdict(schedule) for name, schedule in attack.schedules.items()},
        "low_rank": {"rank": low_rank.RANK, "learning_rate": low_rank.LEARNING_RATE},
        "num_noises": config.num_noises,
        "num_samples": config.num_samples,
    }

    def compute(shard: Shard, done: Callable[[int], None]) -> dict[str, Any]:
        return _walk(attack, pictures[shard.split], shard.rows, config.placement.batch_size, done)

    folder = filled(
        directory,
        _CONTENTS,
        request,
        compute,
        progress,
        f"Walking through {target.name}",
        run=config.placement.record(attack.mesh),
        num_rows={side: len(each.source) for side, each in pictures.items()},
        shard_size=config.shard_size,
        process=config.placement.process,
    )
    return Walked(attack, {side: _read(folder, side) for side in SPLITS}, sides, config)


def _check_enough(count: int, side: str, spec: str) -> None:
    if count < FEWEST:
        raise InputError(
            f"{count} {side} ({spec}) are too few to choose on one half and measure on the other: at least "
            f"{FEWEST} are needed, and hundreds where models leak little."
        )


def _independent(looked: Pictures, clusters: Clusters, side: str) -> Pictures:
    """Without altered copies of the other side, and of pictures that hang together the first."""
    _check_enough(clusters.num_independent, f"independent {side}", looked.source.spec)
    return independent_pictures(looked, clusters)


def _walk(
    attack: ScheduleAttack, pictures: Pictures, rows: range, batch_size: int, done: Callable[[int], None]
) -> dict[str, Any]:
    """The columns of some rows."""

    def submit(batch: PictureBatch, told: Given) -> Pending:
        return attack.submit(batch.images, told, ids=batch.ids, padded_size=batch_size)

    passed = one_pass(attack.target, pictures, rows, submit, batch_size, done)
    columns = joined(passed.found)
    for name, values in columns.items():
        check_finite(f"Schedule {name}", values, passed.ids, advice="; leave it out with --schedules")
    return {_ID: passed.ids, _LABEL: passed.labels, _BLIND: passed.blind, **columns}


def _read(folder: ShardFolder, side: str) -> Walks:
    whole = folder.read_shards(side)
    columns = {
        name: values.reshape(len(values), -1)
        for name, values in whole.items()
        if name not in (_ID, _LABEL, _BLIND)
    }
    return Walks(columns, whole[_LABEL], whole[_BLIND])
