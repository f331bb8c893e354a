"""What a changed target still gives away, and how good it still is.

Quality is measured on images that the model was not trained on, one of those that hang together: the loss
it gives them, and the Fréchet distance between its completions of them and the originals. Both rise when a
change breaks the model.

Axes: N held-out images, D features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxaudit.attacks.similarity import Similarity
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.extraction import ExtractionConfig, complete_images, extract
from jaxaudit.audits.independent import read_one_of_each
from jaxaudit.data import Source
from jaxaudit.feature_extractors import Extractor
from jaxaudit.paths import Place
from jaxaudit.results import (
    Interval,
    Measured,
    ScoreMetrics,
    replace,
)
from jaxaudit.runtime.progress import Progress
from jaxaudit.stats.frechet import bootstrap_frechet
from jaxaudit.stats.mean import mean_interval
from jaxaudit.targets import Target

_LOSS = "cond/loss"  # in every kind of target, minus the loss
_FPR = 0.01


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


def measure(
    target: Target,
    members: Source,
    nonmembers: Source,
    folder: Place,
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
    _, held_out = read_one_of_each(evidence)
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
    originals, completions = map(np.concatenate, sides)
    found = bootstrap_frechet(originals, completions, paired=True, seed=config.extraction.seed)
    unbiased = max(found.distance.estimate - found.bias, 0.0)
    return replace(found.distance, estimate=unbiased)
