"""Which pictures are members, how strong a hidden difference would explain a finding, and asking again."""

from __future__ import annotations

from jaxaudit.results.codec import Record


class Individuals(Record, frozen=True):
    """The result of `jaxaudit.stats.discover_members`: a list of members with a controlled share of errors.

    Attributes:
      q: the false-discovery rate: of the pictures listed, at most this share are nonmembers, on average.
      discovered: ids of the pictures listed, by descending score.
      threshold: the lowest score listed; None if there is none.
      ids: of all pictures, in the order given.
      p_values: conformal, one per picture.
      adjusted_p_values: the smallest q at which the picture would be listed.
      null_share: the share of nonmembers that the list allows for: 1, or Storey's estimate.
      fewest: the smallest number of pictures that so many of U allow to list; None if P has fewer.
      num_p, num_u: pictures.
      scores: of all pictures, higher = more likely a member; None in files of before they were written.
    """

    q: float
    discovered: tuple[str, ...]
    threshold: float | None
    ids: tuple[str, ...]
    p_values: tuple[float, ...]
    adjusted_p_values: tuple[float, ...]
    null_share: float
    fewest: int | None
    num_p: int
    num_u: int
    scores: tuple[float, ...] | None = None


class Sensitivity(Record, frozen=True):
    """The result of `jaxaudit.stats.sensitivity`: how strong a hidden difference would explain the finding.

    Attributes:
      gamma: the largest odds ratio at which the sign test still rejects; None if it does not even at 1.
      gamma_signed_rank: that of the signed-rank test, which is asymptotic.
      p_value, p_value_signed_rank: one-sided, without any hidden difference (odds ratio 1).
      alpha: the significance level.
      pairs: matched.
      p_higher: pairs in which the picture of P scores higher; ties are not among them.
      num_p, num_u: pictures given.
      caliper: the largest difference of log-odds within a pair; None without a propensity.
      imbalance_before, imbalance_after: mean log-odds of P less those of U, in standard deviations, of all
        pictures and of the pairs; None without a propensity.
      sentence: the result in words.
    """

    gamma: float | None
    gamma_signed_rank: float | None
    p_value: float
    p_value_signed_rank: float
    alpha: float
    pairs: int
    p_higher: int
    num_p: int
    num_u: int
    caliper: float | None
    imbalance_before: float | None
    imbalance_after: float | None
    sentence: str


class Question(Record, frozen=True):
    """One of several questions about the same training data, of pictures that no other question used.

    Attributes:
      pictures: fingerprints of all pictures of P and of U, sorted.
      looks: by what altered copies of them are recognised, in that order, as text; "" where nobody asks.
      p_value: of the test on them.
      e_value: what one unit, bet against the null, became.
      fingerprint: SHA-256 of the question and of the fingerprint of the one before it, or of the plan.
    """

    pictures: tuple[str, ...]
    p_value: float
    e_value: float
    fingerprint: str
    looks: str = ""


class SequentialEvidence(Record, frozen=True):
    """The result of `jaxaudit.stats.combine_history`: all questions together.

    Attributes:
      e_value: the largest that the wealth ever was.
      wealth: after each question, the product of the e-values so far.
      p_value: min(1, 1 / e_value), valid however often and for whatever reason was asked again.
      rejected: whether e_value >= 1 / alpha.
      alpha: the significance level of all questions together.
      plan: the fingerprint that the history begins with.
      questions: the history.
    """

    e_value: float
    wealth: tuple[float, ...]
    p_value: float
    rejected: bool
    alpha: float
    plan: str
    questions: tuple[Question, ...]
