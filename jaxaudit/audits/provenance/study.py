"""How far can "generated", "member" or "neither" be relied on?  Asked of pictures whose origin is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxaudit import stats
from jaxaudit.attacks.provenance import ProvenanceAttack
from jaxaudit.audits.provenance.identify import judge, provenance_attack
from jaxaudit.audits.provenance.known_sets import (
    DESCRIPTIONS,
    Pixels,
    altered,
    generated_pictures,
    reencoded,
    saved_alike,
    some_of_each,
)
from jaxaudit.audits.provenance.measure import MEMBER_SCORE, Measured, ProvenanceConfig, measure
from jaxaudit.data import Source
from jaxaudit.errors import InputError
from jaxaudit.paths import Location, Place, as_place, make_folder
from jaxaudit.results import Interval, KnownSet, NullProvenance, ProvenanceStudy, StudiedProvenance
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_AT = 0.01
_FEWEST = 20


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What is measured.

    Attributes:
      num_images: of every set; twice as many unseen ones are needed beside U.
      repetitions: draws of unseen pictures against unseen ones.
      measure: how pictures are measured and judged.

    Raises:
      InputError: if there are too few for a share.
    """

    num_images: int = 200
    repetitions: int = 1000
    measure: ProvenanceConfig = dataclasses.field(default_factory=ProvenanceConfig)

    def __post_init__(self):
        if self.num_images < _FEWEST:
            raise InputError(f"num_images={self.num_images} is too few; {_FEWEST} of each are the least.")


def study_provenance(
    targets: Sequence[Target],
    members: Source,
    unseen: Source,
    directory: Location,
    config: StudyConfig = StudyConfig(),
    *,
    progress: Progress = silent,
) -> ProvenanceStudy:
    """Asks every target about pictures whose origin is known.

    Args:
      targets: models of one size of pictures; each one's pictures stand among those of "other" models for the
        others. Those that generate pixels are not asked, and stand there all the same.
      members: pictures all of them were trained on.
      unseen: pictures none of them was trained on; the first `num_images` are the set "unseen", as many more
        are re-encoded, the rest is U.
      directory: keeps generated pictures and scores, a folder per target; a killed run goes on from there.
      config: what is measured.
      progress: hears of pictures.

    Raises:
      InputError: if there are too few pictures, or as `jaxaudit.audits.provenance.measure`.
    """
    count, settings = config.num_images, config.measure
    if len(members) < count or len(unseen) < 3 * count:
        raise InputError(
            f"{len(members)} members and {len(unseen)} unseen pictures are too few for sets of {count}; "
            f"{count} and {3 * count} are needed."
        )
    directory, members = as_place(directory), members.take(range(count))
    made: dict[str, Pixels] = {}
    for target in targets:
        what = f"Generating with {target.name}"
        made[target.name] = generated_pictures(
            target,
            members,
            _folder(directory, target) / "pictures",
            seed=settings.seed,
            done=lambda done, what=what: progress(done, count, what),
        )
    studied, refused = [], {}
    for target in targets:
        try:
            attack = provenance_attack(target, settings)
        except InputError as error:
            refused[target.name] = str(error)
            continue
        others = [images for name, images in made.items() if name != target.name]
        sets = _sets(target, members, unseen, made[target.name], others, config)
        folder = _folder(directory, target) / "scores"
        studied.append(_study(attack, sets, folder, config, progress))
    return ProvenanceStudy(
        q=settings.q,
        confidence=settings.confidence,
        seed=settings.seed,
        targets=tuple(studied),
        refused=refused,
    )


def _folder(directory: Place, target: Target) -> Place:
    return make_folder(directory / Path(target.name).name)


def _sets(
    target: Target,
    members: Source,
    unseen: Source,
    generated: Pixels,
    others: Sequence[Pixels],
    config: StudyConfig,
) -> dict[str, Source]:
    """The sets of `known_sets`, and U last."""
    count = config.num_images
    photographs = unseen.take(range(count, 2 * count))
    pixels = {
        "generated": generated,
        **altered(generated, seed=config.measure.seed),
        "reencoded": reencoded(target, photographs),
    }
    if others:
        pixels["other"] = some_of_each(others, count)
    known = {
        name: saved_alike(name, images, photographs if name == "reencoded" else members)
        for name, images in pixels.items()
    }
    found = {"members": members, "unseen": unseen.take(range(count)), **known}
    return {name: found[name] for name in DESCRIPTIONS if name in found} | {
        "U": unseen.take(range(2 * count, len(unseen)))
    }


def _study(
    attack: ProvenanceAttack,
    sets: Mapping[str, Source],
    directory: Place,
    config: StudyConfig,
    progress: Progress,
) -> StudiedProvenance:
    member_score = MEMBER_SCORE[attack.target.kind]
    measured = measure(attack, sets, directory, config.measure, member_score=member_score, progress=progress)
    reference = measured.pop("U")
    return StudiedProvenance(
        target=attack.target.name,
        score=attack.default,
        member_score=member_score,
        sets=tuple(_known(name, each, reference, attack, config.measure) for name, each in measured.items()),
        null=_null(measured["unseen"], reference, attack.default, config),
    )


def _known(
    name: str, each: Measured, reference: Measured, attack: ProvenanceAttack, config: ProvenanceConfig
) -> KnownSet:
    found = judge(each, reference, attack.default, config)
    n = len(each.sample_ids)
    small = sum(p <= _AT for p in found.generated.p_values)
    return KnownSet(
        name=name,
        description=DESCRIPTIONS[name],
        num_images=n,
        generated=stats.clopper_pearson(len(found.generated.discovered), n),
        member=stats.clopper_pearson(len(found.members.discovered), n),
        at_one_percent=stats.clopper_pearson(small, n),
        auc={score: stats.auc(each.generated[score], reference.generated[score]) for score in attack.scores},
        status=found.status,
        at_least=found.share.at_least,
    )


def _null(unseen: Measured, reference: Measured, score: str, config: StudyConfig) -> NullProvenance:
    """Random halves of all unseen pictures, the smaller as P."""
    sides = (unseen, reference)
    generated = np.concatenate([side.generated[score] for side in sides])
    member = np.concatenate([side.member for side in sides if side.member is not None])
    n, rng, settings = config.num_images, np.random.default_rng(config.measure.seed), config.measure
    counts = np.zeros(3, int)
    for _ in range(config.repetitions):
        order = rng.permutation(len(generated))
        p, u = order[:n], order[n:]
        found = stats.provenance(
            generated[p], generated[u], member[p], member[u], q=settings.q, confidence=settings.confidence
        )
        counts += [bool(found.generated.discovered), bool(found.members.discovered), found.share.mostly]
    rates: list[Interval] = [
        stats.clopper_pearson(int(count), config.repetitions) for count in counts.tolist()
    ]
    return NullProvenance(*rates, num_p=n, num_u=len(generated) - n, repetitions=config.repetitions)
