"""How much of a set was trained on."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Record
from jaxaudit.results.estimates import Interval

UsageStatus = Literal["at_least", "estimated", "cannot_tell", "not_testable", "no_mixture", "known_differ"]
"""A lower bound, an interval, neither; P and U differ blindly, P's members are unlike the known ones, or the
known ones differ from U blindly."""


class UsageRates(Record, frozen=True):
    """Shares told and pictures named over many draws of one kind.

    Attributes:
      share: of P that was trained on. description: what is wrong, or that nothing is.
      repetitions: draws.
      mean_bound: of the lower bounds. bound_covers: draws in which it is no higher than the share.
      bound_above_zero: draws with a bound at all.
      no_mixture: draws in which P scored like no mixture.
      told: draws with an estimate. Of these alone are
      mean_error, large_error: mean, and 95% quantile, of the distance from the share; None if there are none.
      estimates: their 5%, 50% and 95% quantile. interval_covers: how many of their intervals have the share.
      possible_covers: of the draws with possible shares, those in which the share is among them.
      mean_named: pictures named. nonmember_named: draws in which one of these is a nonmember.
      false_discovery_rate: mean share of nonmembers among them, 0 where none is named.
    """

    share: float
    description: str
    repetitions: int
    mean_bound: float
    bound_covers: Interval
    bound_above_zero: Interval
    no_mixture: Interval
    told: Interval
    mean_error: float | None
    large_error: float | None
    estimates: tuple[float, float, float] | None
    interval_covers: Interval | None
    possible_covers: Interval | None
    mean_named: float
    false_discovery_rate: float
    nonmember_named: Interval


class UsageStudy(Record, frozen=True):
    """The result of `jaxaudit.audits.reliability.usage.study_usage`, of one target.

    Attributes:
      target: its name. num_scores: that everything rests on.
      num_images: of P, of U and of the known members.
      confidence: of bound and intervals. q: false-discovery rate of the lists.
      rates: by share; at the end those of draws in which something is wrong.
    """

    target: str
    num_scores: int
    num_images: int
    confidence: float
    q: float
    rates: tuple[UsageRates, ...]


class UsageFraction(Record, frozen=True):
    """The result of `jaxaudit.stats.usage_fraction`: the share of P that was trained on.

    Attributes:
      status: what may be said.
      at_least: the lower bound; 0 where nothing is known, and where P and U differ blindly.
      showing: the share of P that U does not explain, which members without a trace are no part of; no bound.
      share: of P, with its interval, by known members; None without, or where it cannot be told.
      possible: the least and the largest share that P may have as a mixture of known members and U, whatever
        the distributions; None without them, or where it is none.
      blind_at_least: the same bound by the blind control; above 0 nothing is said.
      confidence: of `at_least`, `share` and `possible`, each.
      num_p, num_u: pictures compared. num_known: known members, 0 if none were given.
      sentence: the result in words.
    """

    status: UsageStatus
    at_least: float
    showing: float
    share: Interval | None
    blind_at_least: float
    confidence: float
    num_p: int
    num_u: int
    num_known: int
    sentence: str
    possible: tuple[float, float] | None = None
