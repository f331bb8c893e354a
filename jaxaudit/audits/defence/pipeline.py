"""Defences side by side: every one is attacked by whoever knows it, and its price is measured.

defence ──► ways of asking ──► scores, log p ──► A0, A1, A2 ──► curves, frontier
       └──► drawn pictures, loss of held-out ones ──► quality
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.unit_gradients import LOSS, gap_gradients
from jaxaudit.audits.collect import CollectConfig, Preparation, prepare
from jaxaudit.audits.defence.asking import Told, drawn_features, log_p, told, view
from jaxaudit.audits.defence.config import SCORES, DefendConfig
from jaxaudit.audits.defence.defences import AS_EVER, Defence, can_be_averaged, ways_of_asking
from jaxaudit.audits.defence.leakage import Said, by_queries, difference, levels, points
from jaxaudit.audits.localization import LocalizeConfig, localize
from jaxaudit.audits.request import measurement_request
from jaxaudit.data import Source, batches
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Contents, claim, read_arrays, write_arrays
from jaxaudit.feature_extractors import Extractor, pixels
from jaxaudit.paths import Location, Place, as_place
from jaxaudit.results import DefenceResults, DefendedTarget, Quality, replace
from jaxaudit.results.mitigation import OriginalTarget
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.adaptive import Halves, View, attacks_on, choose, halves
from jaxaudit.stats.diversity import relative_diversity
from jaxaudit.stats.frechet import bootstrap_frechet
from jaxaudit.stats.mean import mean_interval
from jaxaudit.targets import Target

_GRADIENTS = Contents("gradients by units")
_REPETITIONS = 50  # of a bootstrap; more would take longer than asking the target


def compare_defences(
    target: Target,
    defences: Sequence[Defence],
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: DefendConfig,
    *,
    extractor: Extractor | None = None,
    progress: Progress = silent,
) -> DefenceResults:
    """Measures the undefended target and every defence, each with its price.

    Args:
      target: of discrete tokens, or a diffusion model.
      defences: what is done to it; each starts from the same target.
      members, nonmembers: pictures it was, and was not, trained on; of those that hang together the first is
        asked about, and no altered copy of the other side's, so that no attacker knows what is measured on.
      directory: a folder per way of asking, created if missing; what is there is not measured again.
      config: see `DefendConfig`.
      extractor: features of drawn pictures; default grey levels at 8x8 pixels.
      progress: hears of pictures.

    Raises:
      InputError: for a target of continuous tokens, a defence that does not fit, sources as `prepare`, too
        few pictures, or a folder of another request.
    """
    check_target(target)
    place, extractor = as_place(directory), extractor or pixels()
    prepared = prepare(target, members, nonmembers, _collect(target, config), progress=progress).independent()
    pictures = [prepared.pictures[side] for side in SPLITS]
    split = halves(*(len(each.source) for each in pictures), seed=config.seed)
    beside = told(pictures[1], split.test[1], target, extractor, config.placement.batch_size)
    criteria = sorted({defence.kind for defence in defences} & _VALUES.keys())
    units = {name: _VALUES[name](prepared, split, place, progress) for name in criteria}
    before, known, measured = None, {}, []
    every = [Defence(), *defences]
    for i, defence in enumerate(every):
        tell = _labelled(progress, f"{defence.facts.name} {defence.strength:g} ({i + 1}/{len(every)})")
        ways = ways_of_asking(target, defence, units=units, factor=config.factor, queries=config.queries)
        said = _say(prepared, ways, place, known, tell)
        plain = said.views[AS_EVER]
        before = before or choose(attacks_on({AS_EVER: plain}, split), split)
        folder, answering = ways[AS_EVER]
        drawn = drawn_features(
            answering,
            beside,
            place / folder,
            extractor,
            seed=config.seed,
            batch_size=config.placement.batch_size,
            progress=tell,
        )
        loss = -plain.nonmembers[LOSS[target.kind]][split.test[1]]
        averaged = can_be_averaged(target, defence)
        measured.append(
            DefendedTarget(
                defence=defence.facts,
                quality=_quality(loss, drawn, beside, config.seed),
                levels=levels(said, before, split, config),
                by_queries=by_queries(said, split, config.queries) if averaged else (),
                difference=difference(plain, known["undefended"], split) if i else None,
            )
        )
    return DefenceResults(
        target=OriginalTarget(
            name=target.name, family=target.family, fingerprint=target.provenance.get("fingerprint")
        ),
        members=members.spec,
        nonmembers=nonmembers.spec,
        skipped={side: dict(prepared.pictures[side].looked.skipped) for side in SPLITS},
        measured_on=(split.test[0].size, split.test[1].size),
        factor=config.factor,
        most_queries=config.most_queries,
        alpha=config.alpha,
        seed=config.seed,
        measured=tuple(measured),
        points=points(measured),
    )


def check_target(target: Target) -> None:
    """Raises InputError unless defences of its kind can be compared."""
    if target.kind not in SCORES:
        raise InputError(
            f"{target.name} is a {target.kind} target; defences are compared on models of discrete tokens "
            "and diffusion models."
        )


def _collect(target: Target, config: DefendConfig) -> CollectConfig:
    """The scores to choose from, and the loss."""
    asked = config.scores or SCORES[target.kind]
    return CollectConfig(
        scores=tuple(dict.fromkeys([*asked, LOSS[target.kind]])),
        access="gray-box",
        num_samples=config.num_samples,
        seed=config.seed,
        placement=config.placement,
    )


def _say(
    prepared: Preparation,
    ways: dict[str, tuple[str, Target]],
    place: Place,
    known: dict[str, View],
    progress: Progress,
) -> Said:
    """What the ways of asking tell; scores that are `known` by their folder are not asked for again."""
    views = {}
    for way, (folder, answering) in ways.items():
        if folder not in known:
            known[folder] = view(prepared, answering, place / folder, progress)
        views[way] = known[folder]
    if prepared.target.kind != "discrete":
        return Said(views, None, {})
    folder, answering = ways[AS_EVER]
    return Said(
        views,
        log_p(prepared, answering, place / folder, progress, greedy=True),
        {
            way: log_p(prepared, ways[way][1], place / ways[way][0], progress, greedy=False)
            for way in dict.fromkeys([AS_EVER, [*ways][-1]])  # of answers that are averaged, the most
        },
    )


def _quality(loss: Float[np.ndarray, " N"], drawn: np.ndarray, beside: Told, seed: int) -> Quality:
    """From the loss of held-out pictures, and from drawn ones beside them."""
    frechet = None
    if len(drawn) > drawn.shape[1]:
        found = bootstrap_frechet(drawn, beside.features, paired=True, repetitions=_REPETITIONS, seed=seed)
        frechet = replace(found.distance, estimate=max(found.distance.estimate - found.bias, 0.0))
    return Quality(
        heldout_loss=mean_interval(loss),
        frechet=frechet,
        diversity=relative_diversity(drawn, beside.labels, beside.features, beside.labels),
    )


def _unit_mem(prepared: Preparation, split: Halves, place: Place, progress: Progress) -> np.ndarray:
    """UnitMem over the members; of a VAR the largest over the scales."""
    del split
    config = LocalizeConfig(
        seed=prepared.config.seed, placement=dataclasses.replace(prepared.config.placement, batch_size=8)
    )
    source = prepared.pictures["members"].source
    found = localize(prepared.target, source, place / "units", config, progress=progress)
    return found.unit_mem[-1].max(0)


def _gradients(prepared: Preparation, split: Halves, place: Place, progress: Progress) -> np.ndarray:
    """The gradient of the gap between members and the nonmembers that the defender has."""
    target, config = prepared.target, prepared.config
    members, nonmembers = (prepared.pictures[side] for side in SPLITS)
    request = {
        **measurement_request(target, config.seed),
        **{side: prepared.pictures[side].request for side in SPLITS},
        "rows": split.known[1].tolist(),
    }
    claim(place / "gradients", _GRADIENTS, request)
    path = place / "gradients" / "gradients.npz"
    if not path.exists():
        progress(0, 0, "Asking for gradients by units")
        read = [
            each.unchanged(batches(each.source, rows, target.preprocessing, config.placement.batch_size))
            for each, rows in ((members, range(len(members.source))), (nonmembers, split.known[1].tolist()))
        ]
        gradients = gap_gradients(target, *read, key=jax.random.key(config.seed))
        write_arrays(path, {"gradients": gradients})
    return read_arrays(path)["gradients"]


_VALUES = {"unit_mem": _unit_mem, "gradient": _gradients}
"""By which units are chosen: what the defender can know, members and half of the nonmembers."""


def _labelled(progress: Progress, label: str) -> Progress:
    return lambda done, total, what, note="": progress(done, total, f"{label}: {what}", note)
