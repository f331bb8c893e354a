"""What is found about a set as a whole: blind gate, tests, null control, and how many images it takes."""

from __future__ import annotations

from typing import Literal

from jaxaudit.protocols import Criterion
from jaxaudit.results.codec import Record
from jaxaudit.results.estimates import Interval


class Gate(Record, frozen=True):
    """The result of `jaxaudit.stats.blind_gate`.

    Attributes:
      passed: whether no difference was found, p_value > level.
      p_value: of the permutation test. p_values: of its parts, before they are combined.
      auc: out of fold, of a blind classifier, with its interval.
      level: the significance level of the gate.
      detectable_shift: the smallest shift of one feature, in standard deviations, that 80% of tests of this
        size find.
      num_p, num_u: samples.
      num_features: features that vary, of those given.
      permutations: relabellings B.
      seed: of relabellings and foldings.
    """

    passed: bool
    p_value: float
    p_values: dict[str, float]
    auc: Interval
    level: float
    detectable_shift: float
    num_p: int
    num_u: int
    num_features: int
    permutations: int
    seed: int


class Omnibus(Record, frozen=True):
    """The result of `jaxaudit.stats.omnibus`: do P's scores differ from U's in any way?

    Attributes:
      p_value: of the combination of the next three.
      rank_sum_p_value: all scores of P are a little higher.
      positive_p_value: some are clearly higher.
      hotelling_p_value: a weighted sum differs, in whatever direction.
      opposite_p_value: some are clearly lower.
      contradicted: whether the direction is not that of training.
    """

    p_value: float
    rank_sum_p_value: float
    positive_p_value: float
    hotelling_p_value: float
    opposite_p_value: float
    contradicted: bool


Comparability = Literal["comparable", "after_adjustment", "different"]
"""Whether P and U may be compared: as they are, once differences are accounted for, or not."""


class SetTest(Record, frozen=True):
    """The result of `jaxaudit.stats.set_test`, on which a verdict rests.

    Attributes:
      alpha: the significance level.
      rejected: whether the scores of P are those of images trained on.
      p_value: the larger of `plain.p_value` and `adjusted.p_value`.
      needed_p_value: what `p_value` had to reach: alpha, or less where the gate nearly found a difference.
      contradicted: whether the difference is not in the direction of training.
      plain: of the scores. adjusted: of what covariates leave of them.
      effect: Hedges' g of the mean normal score. adjusted_effect: of what is left of it.
      auc_excess: by how much the AUC of a classifier of the scores exceeds that of a blind one, with
        one-sided 95% limits.
      comparability: of P and U. gate: why.
      num_p, num_u: samples, of large sets a subset.
      names: the scores.
      permutations: relabellings. seed: of everything random.
    """

    alpha: float
    rejected: bool
    p_value: float
    needed_p_value: float
    contradicted: bool
    plain: Omnibus
    adjusted: Omnibus
    effect: Interval
    adjusted_effect: Interval
    auc_excess: Interval
    comparability: Comparability
    gate: Gate
    num_p: int
    num_u: int
    names: tuple[str, ...]
    permutations: int
    seed: int


class WelchTest(Record, frozen=True):
    """Welch's test of members against nonmembers.

    Attributes:
      t: positive if members score higher.
      df: degrees of freedom.
      p_value: one-sided, alternative mean(members) > mean(nonmembers).
      p_value_two_sided: two-sided.
      mean_difference: mean(members) - mean(nonmembers) in units of the score.
      hedges_g: the difference in standard deviations.
    """

    t: float
    df: float
    p_value: float
    p_value_two_sided: float
    mean_difference: Interval
    hedges_g: Interval


class DatasetInference(Record, frozen=True, tag_field="test", tag="sum"):
    """The result of `jaxaudit.stats.dataset_inference`, a test of summed scores.

    Attributes:
      protocol: name of the protocol.
      alpha: the significance level.
      rejected: whether P scores significantly higher than U (paper: p_value <= alpha and the order is right).
      p_value: the larger of Welch's one-sided and the permutation p-value (paper: Welch's, two-sided).
      welch: the t-test of the summed scores, with the effect size.
      permutation_p_value: None under "paper".
      permutations: random splits behind it; None under "paper".
      is_correct_order: whether P's mean is above U's.
      num_p, num_u: samples.
      names: the scores summed.
      confidence: of the intervals in `welch`.
      seed: of the permutations; None under "paper".
      notes: what was done to the scores before, in words.
    """

    protocol: str
    alpha: float
    rejected: bool
    p_value: float
    welch: WelchTest
    permutation_p_value: float | None
    permutations: int | None
    is_correct_order: bool
    num_p: int
    num_u: int
    names: tuple[str, ...]
    confidence: float
    seed: int | None
    notes: tuple[str, ...]


class Attribution(Record, frozen=True):
    """One feature's part in telling P from U.

    Attributes:
      name: of the feature.
      contribution: to the difference between P's and U's mean log-odds; positive if it speaks for P.
      mean_difference: mean of the feature over P less that over U, in standard deviations over both.
    """

    name: str
    contribution: float
    mean_difference: float


class Identification(Record, frozen=True, tag_field="test", tag="cdi"):
    """The result of `jaxaudit.stats.identify`, a test of what a learned scorer makes of samples held out.

    Attributes:
      procedure: name of the procedure.
      alpha: the significance level.
      rejected: whether P is found to be in the training data (p_value <= alpha, and P's scores are higher).
      p_value: split: the larger of Welch's and the permutation p-value, combined over splits; permutation:
        the rank of t among the refitted relabellings; paper: Welch's, two-sided.
      p_values: [K] the p-values of the splits; only `p_value` itself with one split or another procedure.
      combination: the rule that made `p_value` of several.
      welch: the test of P's held-out scores (probabilities of P) against U's, with the effect size. With
        several splits this and what follows are of the split whose p-value is the (lower) median. Except
        under "split" the scores depend on each other, and the intervals are somewhat too short.
      auc: with which a held-out score of P exceeds one of U, with DeLong's interval.
      permutation_p_value: None under "paper".
      permutations: relabellings behind it; None under "paper".
      attributions: what each feature contributes to telling P from U, the largest first.
      num_p, num_u: samples given.
      num_control_p, num_control_u: samples a scorer was fitted on; under 5-fold, of four folds on average.
      num_test_p, num_test_u: samples scored and compared.
      names: of the features.
      confidence: of the intervals.
      seed: of splits, folds and relabellings; None under "paper", which has no randomness.
      notes: why not to rely on the result; none for the valid procedures.
    """

    procedure: str
    alpha: float
    rejected: bool
    p_value: float
    p_values: tuple[float, ...]
    combination: str | None
    welch: WelchTest
    auc: Interval
    permutation_p_value: float | None
    permutations: int | None
    attributions: tuple[Attribution, ...]
    num_p: int
    num_u: int
    num_control_p: int
    num_control_u: int
    num_test_p: int
    num_test_u: int
    names: tuple[str, ...]
    confidence: float
    seed: int | None
    notes: tuple[str, ...]


class NullControl(Record, frozen=True):
    """Nonmembers against nonmembers.

    Attributes:
      test: name of the protocol, or of the procedure of `jaxaudit.stats.identify`.
      alpha: the significance level.
      rejection_rate: of the full test, over random splits of this U.
      welch_rejection_rate: of Welch's test alone (paper: the same as `rejection_rate`).
      median_p: of the full test; about 0.5 where all is well.
      num_pseudo_p, num_pseudo_u: samples on the two sides of a split.
      repetitions: splits.
      confidence: of the intervals.
      seed: of the splits.
    """

    test: str
    alpha: float
    rejection_rate: Interval
    welch_rejection_rate: Interval
    median_p: float
    num_pseudo_p: int
    num_pseudo_u: int
    repetitions: int
    confidence: float
    seed: int


class PowerPoint(Record, frozen=True):
    """Dataset inference with n samples of P and n of U.

    Attributes:
      n: samples of each.
      mean_p: mean p-value over the draws (paper: two-sided; default: one-sided).
      p_quantiles: {level: quantile of the p-value}.
      rejection_rate: fraction of draws that reject.
      independent_draws: min(floor(N / n), repetitions), behind the interval of the rejection rate.
    """

    n: int
    mean_p: float
    p_quantiles: dict[float, float]
    rejection_rate: Interval
    independent_draws: int


class RequiredSize(Record, frozen=True):
    """The number of samples needed, read off a curve of sizes that were drawn.

    Attributes:
      estimate: the smallest size that meets the criterion; None if no size of the grid does.
      low, high: its limits. `high` may lie beyond the sizes drawn, and is None where nothing is sure to be
        found with any; `low` is None where no size drawn could be enough; both are under "mean_p".
      reason: why `estimate`, or under "power" `high`, is None; None otherwise.
    """

    estimate: int | None
    low: int | None
    high: int | None
    reason: str | None


class PowerCurve(Record, frozen=True):
    """The result of `jaxaudit.stats.power_curve` or `jaxaudit.stats.identification_power`.

    Attributes:
      test: name of the protocol, or of the procedure of `jaxaudit.stats.identify`.
      criterion: when a number of samples is enough.
      alpha: the significance level.
      power: fraction of draws that must reject under the criterion "power".
      required: the number of samples needed.
      points: the repeated tests, by ascending n.
      repetitions: draws of each size.
      num_p, num_u: samples drawn from.
      confidence: of the intervals.
      seed: of the draws.
      notes: what was done to the scores before, in words.
    """

    test: str
    criterion: Criterion
    alpha: float
    power: float
    required: RequiredSize
    points: tuple[PowerPoint, ...]
    repetitions: int
    num_p: int
    num_u: int
    confidence: float
    seed: int
    notes: tuple[str, ...]


class Forecast(Record, frozen=True):
    """The result of `jaxaudit.stats.forecast_samples`.

    Attributes:
      enough: whether the samples given are enough: `estimate` was measured on them.
      estimate: samples of P, and as many of U, with which `power` of tests would identify P; None if no
        number can be given.
      low, high: its confidence limits; None where there is none.
      sentence: the result in words.
      alpha, power: as given to `forecast_samples`.
      num_p, num_u: samples given.
      curve: the tests on subsets of the samples given.
    """

    enough: bool
    estimate: int | None
    low: int | None
    high: int | None
    sentence: str
    alpha: float
    power: float
    num_p: int
    num_u: int
    curve: PowerCurve
