"""What membership inference finds: how well each score tells members from nonmembers, image by image."""

from __future__ import annotations

from jaxaudit.results.codec import Record
from jaxaudit.results.estimates import Interval, MeanStd


class RocCurve(Record, frozen=True):
    """A ROC curve for plotting.

    Attributes:
      fpr: false-positive rates, ascending from 0 to 1.
      tpr: the best true-positive rate at a false-positive rate <= fpr.
    """

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]


class ScoreMetrics(Record, frozen=True, tag_field="spread", tag="interval"):
    """What one score gives away, all in [0, 1], with confidence intervals.

    Attributes:
      tpr_at_fpr: the true-positive rate by false-positive rate.
      auc: the area under the ROC curve.
      balanced_accuracy: (TPR + TNR) / 2 at `threshold`.
      threshold: of the score, set on other samples.
    """

    tpr_at_fpr: dict[float, Interval]
    auc: Interval
    balanced_accuracy: Interval
    threshold: float


class PublishedScoreMetrics(Record, frozen=True, tag_field="spread", tag="subsets"):
    """`ScoreMetrics` as published: spreads over random subsets, and `threshold` of the rescaled score."""

    tpr_at_fpr: dict[float, MeanStd]
    auc: MeanStd
    balanced_accuracy: MeanStd
    threshold: float


class OmittedFpr(Record, frozen=True):
    """A false-positive rate too small for the number of nonmembers, and why."""

    fpr: float
    nonmembers_needed: int
    reason: str


class MembershipInference(Record, frozen=True):
    """The result of `jaxaudit.stats.membership_inference`.

    Attributes:
      protocol: name of the protocol.
      selected: name of the best score.
      groups: name of the best score within each group.
      per_score: metrics by score, in the order given.
      curves: ROC curves of the selected scores, by name, on the samples reported on.
      omitted_fprs: false-positive rates that could not be reported.
      num_members, num_nonmembers: samples reported on (paper: per subset); of pictures that hang together an
        audit takes one (paper: all).
      num_selection_members, num_selection_nonmembers: samples the choice was made on (paper: 0, the same).
      confidence: of the intervals; None where there are none.
      seed: of the split or the subsets.
      notes: what was done to the scores before, in words.
    """

    protocol: str
    selected: str
    groups: dict[str, str]
    per_score: dict[str, ScoreMetrics | PublishedScoreMetrics]
    curves: dict[str, RocCurve]
    omitted_fprs: tuple[OmittedFpr, ...]
    num_members: int
    num_nonmembers: int
    num_selection_members: int
    num_selection_nonmembers: int
    confidence: float | None
    seed: int
    notes: tuple[str, ...]


class Histogram(Record, frozen=True):
    """How a score is distributed.

    Attributes:
      edges: of the bins, one more than these; what lies outside is counted in the outer bins.
      members, nonmembers: counts.
    """

    edges: tuple[float, ...]
    members: tuple[int, ...]
    nonmembers: tuple[int, ...]
