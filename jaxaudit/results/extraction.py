"""What an extraction attack got out of a model: results.json of `experiments.extract`."""

from __future__ import annotations

from typing import Literal

import msgspec

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval


class CompletedTarget(Record, frozen=True):
    """The model in question; `steps` of generation, `tokens` of an image."""

    name: str
    family: str
    num_params: int
    fingerprint: str | None
    steps: int
    tokens: int


class ExtractionRequest(Record, frozen=True):
    """What was asked for; see `jaxaudit.audits.extraction.ExtractionConfig`."""

    top_k: int
    validation_top_k: int
    score: str
    prefixes: tuple[int, ...]
    threshold: float | None
    reference_size: int
    alpha: float
    seed: int
    precision: str
    shard_size: int


class Counts(Record, frozen=True):
    """Pictures of the candidates, and of the held-out ones (0 if there are none)."""

    candidates: int
    validation: int


class SimilarityFacts(Record, frozen=True):
    """What completions were compared by.

    Attributes:
      name: of the measure. meaning: in a sentence.
      threshold: from which on a completion counts. default_threshold: that of the measure.
    """

    name: str
    threshold: float
    default_threshold: float
    meaning: str


class BoundedRate(Record, frozen=True):
    """A count among trials, its share, and the one-sided upper bound of its rate."""

    count: int
    trials: int
    estimate: float
    high: float


class FalsePositives(Record, frozen=True):
    """What passes of pictures that the model has not seen, and beside which candidates that was compared.

    Attributes:
      all: of all held-out pictures that were completed.
      chosen, candidates: of held-out pictures and of candidates that were chosen alike, the best ranked of
        equally many of each class; without trials if the two have no class in common.
    """

    all: BoundedRate
    chosen: BoundedRate
    candidates: BoundedRate


class PrefixCounts(Record, frozen=True):
    """Counts for one prefix.

    Attributes:
      prefix: generation steps kept. tokens: in them. share: of the image's tokens.
      extracted: completions of candidates at the threshold. distinct: of these, near-duplicates once.
      closest_to_own: of these, no reference picture is more similar to the completion than its original.
      rate: of the completed candidates.
      false_positives: among held-out pictures. p_value: of the comparison of candidates and held-out pictures
        that were chosen alike. None without held-out pictures.
    """

    prefix: int
    tokens: int
    share: float
    extracted: int
    distinct: int
    closest_to_own: int
    rate: Interval
    false_positives: FalsePositives | None
    p_value: float | None


class ReferenceFacts(Record, frozen=True):
    """Training pictures among each other.

    Attributes:
      size: pictures.
      reaching_threshold: share that has another one as similar as the threshold.
      quantiles: {level: quantile of the similarity to the most similar other one}.
    """

    size: int
    reaching_threshold: Interval
    quantiles: dict[float, float]


class ShownPicture(Record, frozen=True):
    """A picture of the gallery: its id, class, and similarities of its completion from the longest prefix."""

    sample_id: str
    label: int
    similarity: float
    nearest_other: float
    extracted: bool


class SimilarityHistograms(Record, frozen=True):
    """Counts of each group in common bins, one of which begins at the threshold; `edges` are one more."""

    edges: tuple[float, ...]
    candidates: tuple[int, ...]
    validation: tuple[int, ...]
    nearest_other: tuple[int, ...]


class ExtractionCounts(Record, frozen=True):
    """The result of `jaxaudit.audits.extraction.assess_extraction`.

    Attributes:
      status: what the longest prefix shows; "indistinguishable" from held-out pictures, "unchecked" without
        any, or without one of a candidate's class.
      score: that ranked. num_ranked, num_completed: pictures. num_classes: of the candidates.
      similarity: what completions were compared by.
      confidence: of intervals and bounds. alpha: of the comparison with held-out pictures.
      prefixes: by ascending length; the longest decides the status.
      reference: what the threshold means. gallery: the most similar completions, one of each cluster.
    """

    status: Literal["extracted", "indistinguishable", "unchecked", "none"]
    score: str
    num_ranked: Counts
    num_completed: Counts
    num_classes: int
    similarity: SimilarityFacts
    confidence: float
    alpha: float
    prefixes: tuple[PrefixCounts, ...]
    reference: ReferenceFacts
    gallery: tuple[ShownPicture, ...]
    histograms: SimilarityHistograms

    @property
    def longest(self) -> PrefixCounts:
        """The counts of the longest prefix."""
        return self.prefixes[-1]


class ExtractionResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.extract`: what was asked, of what, and the counts.

    Attributes:
      sources: {"candidates": spec, "validation": spec}, the latter if there are held-out pictures.
      skipped: {the same: {id: reason}} of the pictures that were left out.
    """

    format: Literal[3] = 3
    target: CompletedTarget
    sources: dict[str, str]
    skipped: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    request: ExtractionRequest
    counts: ExtractionCounts
