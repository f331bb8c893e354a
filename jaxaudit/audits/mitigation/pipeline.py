"""What mitigations cost and what they buy: every attack again, on targets that were changed.

change (none, scaled units, output noise) ──► target ──► audit, extraction ──► leakage
                                                    └──► held-out images    ──► quality
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.attacks.similarity import Similarity, get_similarity
from jaxaudit.audits.mitigation.changes import Change
from jaxaudit.audits.mitigation.measure import MitigateConfig, measure
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.audits.request import measurement_request
from jaxaudit.data import Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Contents, UnitMap, claim
from jaxaudit.feature_extractors import Extractor, pixels
from jaxaudit.paths import Location, Place, as_place
from jaxaudit.results import (
    ChangedTarget,
    ChangeFacts,
    KeptMeasurement,
    Measured,
    MitigationResults,
    read_results,
    write_results,
)
from jaxaudit.results.mitigation import OriginalTarget
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_MEASURED = Contents("measurements of a changed target")


def measure_changes(
    target: Target,
    changes: Sequence[Change],
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: MitigateConfig,
    *,
    units: UnitMap | None = None,
    similarity: Similarity | None = None,
    extractor: Extractor | None = None,
    progress: Progress = silent,
) -> MitigationResults:
    """Attacks the target after each of the changes, one after the other; what is done is not repeated.

    Args:
      target: a model of tokens, discrete or continuous.
      changes: what is done to it; each starts from the same target.
      members, nonmembers: images it was, and was not, trained on.
      directory: a folder per change, created if missing.
      config: see `MitigateConfig`.
      units: the map of the target's units, for changes that scale some.
      similarity: by which completions are compared with originals; default `get_similarity("pixels")`.
      extractor: features of the Fréchet distance; default grey levels at 8x8 pixels.
      progress: hears of images.

    Raises:
      InputError: for a diffusion model, a protocol without intervals, a change that does not fit, or as the
        attacks do.
    """
    if not target.tokens_per_step:
        raise InputError(f"{target.name} is a diffusion model; extraction works on models of tokens.")
    if not config.assess.protocol.gives_verdict:
        raise InputError(
            f"protocol={config.assess.protocol.name!r} measures no intervals to compare changes by; take the "
            "default one."
        )
    pictures = tuple(
        look(resolve_condition(source, target), target.preprocessing, progress)
        for source in (members, nonmembers)
    )
    records = []
    for i, change in enumerate(changes):
        folder = as_place(directory) / change.name
        changed = change.apply(target, units)
        records.append(
            ChangedTarget(
                change=ChangeFacts(**dataclasses.asdict(change)),
                measured=_measured_once(
                    changed,
                    members,
                    nonmembers,
                    pictures,
                    folder,
                    config,
                    similarity or get_similarity("pixels"),
                    extractor or pixels(),
                    _labelled(progress, f"{change.name} ({i + 1}/{len(changes)})"),
                ),
            )
        )
    return MitigationResults(
        target=OriginalTarget(
            name=target.name, family=target.family, fingerprint=target.provenance.get("fingerprint")
        ),
        members=members.spec,
        nonmembers=nonmembers.spec,
        skipped={"members": members.skipped, "nonmembers": nonmembers.skipped},
        records=tuple(records),
    )


def _labelled(progress: Progress, label: str) -> Progress:
    return lambda done, total, what, note="": progress(done, total, f"{label}: {what}", note)


def _measured_once(
    target: Target,
    members: Source,
    nonmembers: Source,
    pictures: Sequence[Pictures],
    folder: Place,
    config: MitigateConfig,
    similarity: Similarity,
    extractor: Extractor,
    progress: Progress,
) -> Measured:
    """`measure`, or what it found earlier for the same target and request."""
    request = {
        **measurement_request(target, config.collect.seed),
        **dict(zip(SPLITS, (each.request for each in pictures), strict=True)),
        "similarity": similarity.request,
        "extractor": extractor.fingerprint,
        **config.asked(),
    }
    placement = config.collect.placement
    run = placement.record(placement.mesh(target.params, target.partition))
    claim(folder, _MEASURED, request, run)
    path = folder / "measured.json"
    if path.exists():
        return read_results(path, KeptMeasurement).measured
    measured = measure(target, members, nonmembers, folder, config, similarity, extractor, progress)
    write_results(path, KeptMeasurement(measured=measured))
    return measured
