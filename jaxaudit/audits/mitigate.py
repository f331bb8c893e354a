"""What mitigations cost and what they buy: every attack again, on targets that were changed.

    change (none, scaled units, output noise) ──► target ──► audit, extraction ──► leakage
                                                        └──► held-out images    ──► quality

Quality is measured on images that the model was not trained on: the loss it gives them, and the Fréchet
distance between its completions of them and the originals. Both rise when a change breaks the model.

Axes: N held-out images, D features.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxaudit.attacks.mitigation import (
    CRITERIA,
    add_output_noise,
    choose_units,
    noisy_config,
    scale_units,
)
from jaxaudit.attacks.similarity import Similarity, get_similarity
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.extraction import ExtractionConfig, complete_images, extract
from jaxaudit.audits.request import precision, target_request
from jaxaudit.checkpoint import read_record, save_target
from jaxaudit.data import Source
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import Contents, UnitMap, claim
from jaxaudit.feature_extractors import Extractor, pixels
from jaxaudit.results import (
    ChangedTarget,
    ChangeFacts,
    Interval,
    KeptMeasurement,
    Measured,
    MitigationResults,
    ScoreMetrics,
    read_results,
    replace,
    write_results,
)
from jaxaudit.results.mitigation import OriginalTarget
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.frechet import bootstrap_frechet
from jaxaudit.stats.mean import mean_interval
from jaxaudit.targets import Target

_MEASURED = Contents("measurements of a changed target")
_LOSS = "cond/loss"  # in every kind of target, minus the loss
_FPR = 0.01


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of a target.

    Attributes:
      kind: "none", a criterion by which units are chosen and scaled (`jaxaudit.attacks.mitigation`), or
        "noise".
      strength: share of the units, or standard deviation of the noise; 0 for "none".
      factor: of scaled weights.
      seed: of random units and of noise.

    Raises:
      InputError: for another kind.
    """

    kind: str = "none"
    strength: float = 0.0
    factor: float = 0.5
    seed: int = 0

    def __post_init__(self):
        if self.kind not in (known := ("none", *CRITERIA, "noise")):
            raise unknown_name("mitigation", self.kind, known)

    @property
    def name(self) -> str:
        """A name for files, different for different changes."""
        if self.kind == "none":
            return "none"
        factor = "" if self.kind == "noise" else f"-x{self.factor:g}"
        return f"{self.kind}-{self.strength:g}{factor}-seed{self.seed}"

    def apply(self, target: Target, units: UnitMap | None) -> Target:
        """The changed target.

        Raises:
          InputError: if the change needs a map of units and there is none, or does not fit.
        """
        if self.kind == "none":
            return target
        if self.kind == "noise":
            return add_output_noise(target, self.strength, seed=self.seed)
        if units is None:
            raise InputError("Scaling units needs their map: run `jaxaudit localize` first.")
        chosen = choose_units(units, self.strength, by=self.kind, seed=self.seed)
        return scale_units(target, chosen, self.factor)


@dataclasses.dataclass(frozen=True)
class MitigateConfig:
    """How a changed target is attacked.

    Attributes:
      collect: membership and dataset inference: scores and machine.
      assess: its statistics.
      extraction: see `ExtractionConfig`.
    """

    collect: CollectConfig = dataclasses.field(default_factory=CollectConfig)
    assess: AssessConfig = dataclasses.field(default_factory=AssessConfig)
    extraction: ExtractionConfig = dataclasses.field(default_factory=ExtractionConfig)

    def asked(self) -> dict[str, Any]:
        """What was asked for, JSON-able, without where it runs."""
        collect, extraction = dataclasses.asdict(self.collect), dataclasses.asdict(self.extraction)
        del collect["placement"], extraction["placement"]
        return {"collect": collect, "assess": self.assess.named(), "extraction": extraction}


def measure_changes(
    target: Target,
    changes: Sequence[Change],
    members: Source,
    nonmembers: Source,
    directory: str | os.PathLike,
    config: MitigateConfig,
    *,
    units: UnitMap | None = None,
    similarity: Similarity | None = None,
    extractor: Extractor | None = None,
    progress: Progress = silent,
) -> MitigationResults:
    """Attacks the target after each of the changes, one after the other; what is done is not repeated.

    Args:
      target: VAR, RAR or MAR.
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
    if not target.steps:
        raise InputError(f"{target.name} is a diffusion model; extraction works on VAR, RAR and MAR.")
    if not config.assess.protocol.gives_verdict:
        raise InputError(
            f"protocol={config.assess.protocol.name!r} measures no intervals to compare changes by; take the "
            "default one."
        )
    records = []
    for i, change in enumerate(changes):
        folder = Path(directory) / change.name
        changed = change.apply(target, units)
        records.append(
            ChangedTarget(
                change=ChangeFacts(**dataclasses.asdict(change)),
                measured=_measured_once(
                    changed,
                    members,
                    nonmembers,
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
        records=tuple(records),
    )


def _labelled(progress: Progress, label: str) -> Progress:
    return lambda done, total, what, note="": progress(done, total, f"{label}: {what}", note)


def save_mitigated(directory: str | Path, target: Target, *, original: str | Path) -> dict[str, Any]:
    """Writes a target that `Change.apply` made of the target `original`, to be audited like any other.

    Args:
      directory: as `jaxaudit.checkpoint.save_target`, which says what is returned.
      target: the changed target.
      original: the name or directory it was loaded from.

    Raises:
      InputError: if something is in the way, or the original is not to be found.
    """
    record = read_record(original)
    config, changes = record["config"], target.provenance.get("mitigations", [])
    for change in changes:
        if noise := change.get("output_noise"):
            config = noisy_config(config, noise["std"], seed=noise["seed"])
    return save_target(
        directory,
        family=target.family,
        config=config,
        params=target.params,
        preprocessing=target.preprocessing,
        provenance={
            **record["provenance"],
            "made_from": record["fingerprint"],
            "mitigations": changes,
        },
    )


def _measured_once(
    target: Target,
    members: Source,
    nonmembers: Source,
    folder: Path,
    config: MitigateConfig,
    similarity: Similarity,
    extractor: Extractor,
    progress: Progress,
) -> Measured:
    """`measure`, or what it found earlier for the same target and request."""
    request = {
        "target": target_request(target),
        "precision": precision(target),
        "sources": [[source.spec, source.fingerprint] for source in (members, nonmembers)],
        "similarity": similarity.name,
        "extractor": extractor.name,
        **config.asked(),
    }
    claim(folder, _MEASURED, request, config.collect.placement.record())
    path = folder / "measured.json"
    if path.exists():
        return read_results(path, KeptMeasurement).measured
    measured = measure(target, members, nonmembers, folder, config, similarity, extractor, progress)
    write_results(path, KeptMeasurement(measured=measured))
    return measured


def measure(
    target: Target,
    members: Source,
    nonmembers: Source,
    folder: Path,
    config: MitigateConfig,
    similarity: Similarity,
    extractor: Extractor,
    progress: Progress,
) -> Measured:
    """Leakage and quality of one target; arguments are those of `measure_changes`."""
    evidence = collect_evidence(
        target,
        members,
        nonmembers,
        folder / "evidence",
        dataclasses.replace(config.collect, scores=(*config.collect.scores, _LOSS)),
        progress=progress,
    )
    audit = assess(evidence, config.assess)
    best = audit.membership.selected
    metrics = audit.membership.per_score[best]
    assert isinstance(metrics, ScoreMetrics)  # the protocol measures intervals
    found = extract(
        target,
        members,
        nonmembers,
        config.extraction,
        similarity=similarity,
        directory=folder / "extraction",
        progress=progress,
    ).results.counts
    main = found.longest
    assert main.false_positives is not None  # there are held-out pictures
    held_out = evidence.read("nonmembers")
    loss = -held_out.scores[_LOSS]
    return Measured(
        score=best,
        tpr=metrics.tpr_at_fpr.get(_FPR),
        auc=metrics.auc,
        p_value=audit.dataset_inference[audit.main_view].p_value if audit.dataset_inference else None,
        needed=audit.power_curves[audit.main_view].required if audit.power_curves else None,
        extracted=main.extracted,
        completed=found.num_completed.candidates,
        rate=main.rate,
        false_positives=main.false_positives.all,
        heldout_loss=mean_interval(loss),
        frechet=_frechet(
            target, nonmembers, held_out.sample_ids.tolist(), main.prefix, extractor, config, progress
        ),
    )


def _frechet(
    target: Target,
    held_out: Source,
    sample_ids: Sequence[str],
    prefix: int,
    extractor: Extractor,
    config: MitigateConfig,
    progress: Progress,
) -> Interval | None:
    """Between held-out images and their completions, less its bias; None with too few for the features."""
    if len(sample_ids) <= extractor.dim:
        return None
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    size = config.extraction.placement.batch_size
    for start in range(0, len(sample_ids), size):
        pair = complete_images(target, held_out, sample_ids[start : start + size], prefix, config.extraction)
        for side, images in zip(sides, pair, strict=True):
            side.append(np.asarray(extractor(images)))
        progress(min(start + size, len(sample_ids)), len(sample_ids), "completing held-out images")
    found = bootstrap_frechet(*(np.concatenate(side) for side in sides), seed=config.assess.seed)
    unbiased = max(found.distance.estimate - found.bias, 0.0)
    return replace(found.distance, estimate=unbiased)
