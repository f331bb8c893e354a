"""Targets side by side, and what leakage goes with."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval, MeanStd
from jaxaudit.results.inference import RequiredSize

Leak = Literal["auc", "tpr", "needed"]
"""AUC and TPR at 1% FPR of the best score, and images that dataset inference needs."""
Against = Literal["parameters", "training_steps", "gflop", "seconds"]
"""What leakage may go with; the last two are those of generating an image."""


class GenerationCost(Record, frozen=True):
    """What generating one image costs.

    Attributes:
      gflop: 10⁹ floating-point operations of matrix products and convolutions.
      seconds: by the clock, the shortest of several.
      device: that took them.
    """

    gflop: float
    seconds: float
    device: str


class ComparedFacts(Record, frozen=True, kw_only=True):
    """What is said of an audited target, whatever the protocol; the fields are columns of comparison.csv.

    Attributes:
      target: its name. family: its model family.
      num_params: parameters of generator and tokenizer.
      training_steps: of the generator, None if not recorded.
      gflop: 10⁹ floating-point operations per scored image, None if not recorded.
      generation: None if it was not measured.
      baseline: name of the best score given the class where the attack rests on another view; else of the
        unified Loss attack. best: of all scores.
      needed: images for dataset inference to reject; None if not testable.
      status: of the verdict.
    """

    target: str
    family: str
    num_params: int
    training_steps: int | None
    gflop: float | None
    generation: GenerationCost | None
    baseline: str
    best: str
    needed: RequiredSize | None
    status: str


class ComparedTarget(ComparedFacts, frozen=True, kw_only=True, tag_field="spread", tag="interval"):
    """One audited target.

    Attributes, beside those of all:
      baseline_tpr, best_tpr: TPR at 1% FPR; None with too few nonmembers.
      auc: of the best score.
    """

    baseline_tpr: Interval | None
    best_tpr: Interval | None
    auc: Interval


class PublishedComparedTarget(ComparedFacts, frozen=True, kw_only=True, tag_field="spread", tag="subsets"):
    """`ComparedTarget` as published: spreads over random subsets."""

    baseline_tpr: MeanStd | None
    best_tpr: MeanStd | None
    auc: MeanStd


class Correlation(Record, frozen=True):
    """How leakage goes with something else, over targets.

    Attributes:
      leak: what of the leakage. against: with what.
      spearman: of ranks, more images needed than there are being the most.
      pearson: of the values and the logarithm of `against`, of images needed their logarithm as well; None
        where more of them are needed than there are.
      partial: `spearman` among targets alike in training steps, or for these in parameters; None where those
        are not known, are the same for all, or leave nothing over.
      num_targets: of which both are known.
    """

    leak: Leak
    against: Against
    spearman: Interval
    pearson: Interval | None
    partial: Interval | None
    num_targets: int


class ComparisonResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit compare`.

    Attributes:
      targets: in the order given.
      correlations: none of fewer than five targets, and of nothing that is the same for all.
      confidence: of their intervals.
    """

    format: Literal[1] = 1
    targets: tuple[ComparedTarget | PublishedComparedTarget, ...]
    correlations: tuple[Correlation, ...]
    confidence: float
