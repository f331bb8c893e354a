"""How well the method itself does: the files of `experiments.cdi_studies`."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.inference import RequiredSize


class StudyPoint(Record, frozen=True):
    """Many draws of one setting.

    Attributes:
      series: which line of the study.
      num_p, num_u: samples of every draw.
      ratio: of nonmembers in P (contamination) or of |U| to |P| (imbalance); None elsewhere.
      identified: share of draws in which P is identified; of a single score, sets above the threshold that a
        share alpha of the nonmember sets exceeds.
      mean_p: mean p-value. p_quantiles: {level: quantile}. Both None for single scores.
      independent_draws: behind the interval.
    """

    series: str
    num_p: int
    num_u: int
    ratio: float | None
    identified: Interval
    mean_p: float | None
    p_quantiles: dict[float, float] | None
    independent_draws: int


class SetRoc(Record, frozen=True):
    """Sets of members against sets of nonmembers, told apart by 1 - p.

    Attributes:
      n: samples of a set, and of U.
      fpr, tpr: the curve, from (0, 0) to (1, 1).
      auc: the area under it.
      tpr_at_alpha: the largest true-positive rate at a false-positive rate <= alpha.
      identified, accused: share of member sets, and of nonmember sets, with p_value <= alpha.
    """

    n: int
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    auc: float
    tpr_at_alpha: float
    identified: float
    accused: float


class StudiedTarget(Record, frozen=True):
    """One target under a study; a study fills `points` or `curves`.

    Attributes:
      target: its name.
      num_members, num_nonmembers: samples drawn from; of those that hang together one.
      features: that the test rests on.
      required: samples needed; of the study "p_value".
      sets: {series: features}; of studies of parts of the features.
    """

    target: str
    num_members: int
    num_nonmembers: int
    features: tuple[str, ...]
    required: RequiredSize | None
    sets: dict[str, tuple[str, ...]] | None
    points: tuple[StudyPoint, ...]
    curves: tuple[SetRoc, ...]


class StudyResults(Document, frozen=True, kw_only=True):
    """One study of several targets, with what all draws have in common."""

    format: Literal[2] = 2
    study: str
    procedure: str
    alpha: float
    repetitions: int
    confidence: float
    seed: int
    power: float
    targets: tuple[StudiedTarget, ...]


class FalsePositiveRate(Record, frozen=True):
    """What a procedure does where there is nothing to find.

    Attributes:
      procedure, kind: as given to `jaxaudit.stats.false_positive_rate`.
      num_p, num_u, num_features: of every data set.
      alpha: the significance level.
      accused: share of data sets for which `identify` would find P in the training data.
      small_p: share with p_value <= alpha; larger than `accused` only where p is two-sided.
      mean_p: mean p-value; 0.5 for a test that says what it means.
      repetitions: data sets. confidence: of the intervals. seed: of the simulation.
    """

    procedure: str
    kind: str
    num_p: int
    num_u: int
    num_features: int
    alpha: float
    accused: Interval
    small_p: Interval
    mean_p: float
    repetitions: int
    confidence: float
    seed: int


class NullStudyResults(Document, frozen=True, kw_only=True):
    """How often each procedure accuses where nothing was learned, in simulations."""

    format: Literal[2] = 2
    study: Literal["false_positives"] = "false_positives"
    alpha: float
    repetitions: int
    confidence: float
    seed: int
    rates: tuple[FalsePositiveRate, ...]
