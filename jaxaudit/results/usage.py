"""How much of a set was trained on."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Record
from jaxaudit.results.estimates import Interval

UsageStatus = Literal["at_least", "estimated", "cannot_tell", "not_testable", "no_mixture"]
"""A lower bound, an interval, neither, sets that differ blindly, or members unlike the known ones."""


class UsageFraction(Record, frozen=True):
    """The result of `jaxaudit.stats.usage_fraction`: the share of P that was trained on.

    Attributes:
      status: what may be said.
      at_least: the lower bound; 0 where nothing is known, and where P and U differ blindly.
      showing: the share of P that U does not explain, which members without a trace are no part of; no bound.
      share: of P, with its interval, by known members; None without, or where it cannot be told.
      blind_at_least: the same bound by the blind control; above 0 nothing is said.
      confidence: of `at_least` and of `share`.
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
