"""Two pools of pictures made comparable, and what was found when they were compared again."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.inference import Gate
from jaxaudit.results.membership import Histogram

Likeness = Literal["equal", "different", "too_few"]
"""Whether two sets are alike: yes, within the margin; no; or nobody can tell yet."""


class SetLikeness(Record, frozen=True):
    """How alike two sets are, by what can be seen without the model.

    Attributes:
      num_p, num_u: pictures.
      auc: of a forest of trees that was trained on other pictures, with its one-sided 95% limits.
      gate: the blind test.
      between, within_p, within_u: Fréchet distance of the features of halves: of P and U, and of either with
        itself; the unit is the variance of all features over both pools. None for too few pictures.
    """

    num_p: int
    num_u: int
    auc: Interval
    gate: Gate
    between: float | None
    within_p: float | None
    within_u: float | None


class FeatureBalance(Record, frozen=True):
    """Mean of a feature in P less that in U, in standard deviations of the pools, before and after."""

    feature: str
    before: float
    after: float


class PoolUse(Record, frozen=True):
    """What became of the pictures of a pool.

    Attributes:
      source: the text that names it.
      pictures: that could be used.
      repeated: left out as copies or near-duplicates of another picture of the pool, or declared to belong
        to it.
      copies: left out as copies or near-duplicates of a picture of the other pool.
      other_class: left out as the other pool has none of their class.
      unmatched: left out as no partner was left that is alike.
      unbalanced: left out with their partner, for the balance of all.
      matched: returned.
      skipped: {id: reason} of the pictures that could not be used.
    """

    source: str
    pictures: int
    repeated: int
    copies: int
    other_class: int
    unmatched: int
    unbalanced: int
    matched: int
    skipped: dict[str, str]


class FairSets(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.fair_sets.match_sets`.

    Attributes:
      answer: whether the matched sets are alike.
      pools: "p" and "u".
      features: {kind: how many} that pools were matched by.
      left_out: kinds of features that one pool alone has, or not for all of its pictures.
      num_classes: classes in both pools; None where there are none.
      image_size: side of the pictures that features were taken of, pixels.
      classifiers: of each part of the pools, the AUC of each classifier of its rule on what the earlier ones
        had paired.
      before, after: pools without copies, and matched sets.
      balance: of every feature, the most unlike before first.
      before_odds, after_odds: log-odds of being in P, by the first classifiers, members being P.
      margin: by how much an AUC may exceed 1/2 between sets that count as alike.
      pairs_needed: about so many show that sets without any difference are within the margin.
      seed: of everything random.
    """

    format: Literal[1] = 1
    answer: Likeness
    pools: dict[str, PoolUse]
    features: dict[str, int]
    left_out: tuple[str, ...]
    num_classes: int | None
    image_size: int
    classifiers: tuple[tuple[Interval, ...], ...]
    before: SetLikeness
    after: SetLikeness
    balance: tuple[FeatureBalance, ...]
    before_odds: Histogram
    after_odds: Histogram
    margin: float
    pairs_needed: int
    seed: int
