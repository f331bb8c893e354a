"""Scores of two sets of pictures, of being generated and of membership, kept shard by shard."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np

from jaxaudit.attacks.condition import null_context, resolve_condition
from jaxaudit.attacks.provenance import SEARCH_STEPS, ProvenanceAttack
from jaxaudit.attacks.runner import PendingScores, Scorer
from jaxaudit.audits.fill import filled
from jaxaudit.audits.one_pass import one_pass
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.audits.request import measurement_request
from jaxaudit.data import PictureBatch, Source, check_disjoint, find_clusters
from jaxaudit.evidence import Contents, Shard, ShardFolder, check_finite, joined
from jaxaudit.paths import Location
from jaxaudit.runtime.parallel import Pending
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Given, Kind

MEMBER_SCORE: dict[Kind, str] = {
    "discrete": "diff/icas",
    "continuous": "diff/loss",
    "diffusion": "denoising_loss",
}
"""The score of membership of each kind of target, fixed before any picture is seen."""
_CONTENTS = Contents("a provenance measurement")
_COLUMN = "generated/"
MEMBER = "member"
"""The column of the membership score."""


@dataclasses.dataclass(frozen=True)
class ProvenanceConfig:
    """How pictures are measured and judged.

    Attributes:
      search_steps: of the score "search".
      q: false-discovery rate of the lists. confidence: of the bound on the generated share.
      seed: of stochastic membership scores.
      placement: where batches run; nothing of it changes a result beyond rounding.
      shard_size: pictures per file, the unit that is lost when a run is killed.
    """

    search_steps: int = SEARCH_STEPS
    q: float = 0.05
    confidence: float = 0.99
    seed: int = 0
    placement: Placement = dataclasses.field(default_factory=Placement)
    shard_size: int = 512


DEFAULTS = ProvenanceConfig()


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Pictures of one set and their scores.

    Attributes:
      sample_ids: [N] str.
      generated: {score: [N]}, higher = more likely generated.
      member: [N], higher = more likely a member; None if it was not asked for.
      skipped: {id: reason} of the pictures left out.
    """

    sample_ids: np.ndarray
    generated: dict[str, np.ndarray]
    member: np.ndarray | None
    skipped: dict[str, str]


def measure(
    attack: ProvenanceAttack,
    sources: Mapping[str, Source],
    directory: Location,
    config: ProvenanceConfig,
    *,
    member_score: str | None,
    independent: bool = False,
    progress: Progress = silent,
) -> dict[str, Measured]:
    """Scores the pictures of every source; an earlier run of the same request is continued.

    Args:
      attack: on the target.
      sources: by name; none shares a picture with the last, which is U.
      directory: keeps the scores.
      config: how.
      member_score: of membership; None leaves it out.
      independent: leaves altered copies of U and in U out, and of pictures that hang together all but the
        first: p-values and bounds count every picture.
      progress: hears of pictures.

    Raises:
      InputError: if pictures cannot be used or are in U too, their conditions do not fit the target, the
        folder holds another request, or a score is not finite.
    """
    target = attack.target
    resolved = {name: resolve_condition(source, target) for name, source in sources.items()}
    pictures = {name: look(source, target.preprocessing, progress) for name, source in resolved.items()}
    *asked, reference = pictures.values()
    for each in asked:
        check_disjoint(each.digests, reference.digests)
    skipped = {name: dict(each.looked.skipped) for name, each in pictures.items()}
    if independent:
        progress(0, 0, "Looking for near-duplicates")
        pictures = _independent(pictures, skipped)
    scorer = None
    if member_score is not None:
        scorer = Scorer(
            target,
            member_score,
            key=jax.random.key(config.seed),
            null_context=null_context(target, resolved.values()),
            mesh=attack.mesh,
            parallelism=config.placement.parallelism,
        )
    request = {
        **measurement_request(target, config.seed),
        **{name: each.request for name, each in pictures.items()},
        "search_steps": attack.search_steps,
        "member_score": member_score,
    }

    def compute(shard: Shard, done: Callable[[int], None]) -> dict[str, np.ndarray]:
        return _scores(attack, scorer, pictures[shard.split], shard.rows, config.placement.batch_size, done)

    folder = filled(
        directory,
        _CONTENTS,
        request,
        compute,
        progress,
        f"Asking {target.name} where they are from",
        run=config.placement.record(attack.mesh),
        num_rows={name: len(each.source) for name, each in pictures.items()},
        shard_size=config.shard_size,
        process=config.placement.process,
    )
    return {name: _read(folder, name, skipped[name]) for name in pictures}


def _independent(
    pictures: Mapping[str, Pictures], skipped: Mapping[str, dict[str, str]]
) -> dict[str, Pictures]:
    """Those that count; what does not is listed in `skipped`, with what it hangs together with."""
    *asked, reference = pictures
    left = {name: set(range(len(each.source))) for name, each in pictures.items()}
    for name in asked:
        found = find_clusters(pictures[name].seen, pictures[reference].seen)
        for side, clusters in zip((name, reference), found, strict=True):
            independent = set(clusters.independent)
            for row in left[side] - independent:
                of = clusters.copy_of[row] or clusters.firsts[row]
                skipped[side][pictures[side].source.ids[row]] = f"it is a copy of {of}, or belongs to it"
            left[side] &= independent
    return {
        name: dataclasses.replace(each, source=each.source.take(sorted(left[name])))
        for name, each in pictures.items()
    }


class _Both:
    """Scores of both kinds that the devices are still computing."""

    def __init__(self, generated: Pending, member: PendingScores | None):
        self._generated, self._member = generated, member

    def result(self) -> dict[str, np.ndarray]:
        found = {_COLUMN + name: scores for name, scores in self._generated.result().items()}
        if self._member is not None:
            (found[MEMBER],) = self._member.result().values()
        return found


def _scores(
    attack: ProvenanceAttack,
    scorer: Scorer | None,
    pictures: Pictures,
    rows: range,
    batch_size: int,
    done: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """The columns of some rows."""

    def submit(batch: PictureBatch, told: Given) -> _Both:
        member = None
        if scorer is not None:
            member = scorer.submit(batch.images, told, ids=batch.ids, padded_size=batch_size)
        return _Both(attack.submit(batch.images, padded_size=batch_size), member)

    passed = one_pass(attack.target, pictures, rows, submit, batch_size, done)
    columns = joined(passed.found)
    for name, values in columns.items():
        check_finite(f"Score {name}", values, passed.ids)
    return {"sample_id": np.array(passed.ids, np.str_), **columns}


def _read(folder: ShardFolder, name: str, skipped: dict[str, str]) -> Measured:
    columns = folder.read_shards(name)
    generated = {
        column.removeprefix(_COLUMN): values
        for column, values in columns.items()
        if column.startswith(_COLUMN)
    }
    return Measured(columns["sample_id"], generated, columns.get(MEMBER), skipped)
