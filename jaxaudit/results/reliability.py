"""How far verdicts can be trusted, measured: reliability.json of `experiments.reliability`."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.unit_control import UnitControlStudy
from jaxaudit.results.usage import UsageStudy


class VerdictRates(Record, frozen=True):
    """Verdicts over many draws of one kind.

    Attributes:
      scenario: its name. description: what was done to the sets.
      num_images: of P, and of U.
      one_view: share of draws in which the test that stood alone before rejects: the sum of the scores, or
        CDI on a split, of the main view, without a gate.
      plain: in which the omnibus test of the scores as they are rejects.
      adjusted: in which it rejects after adjustment too.
      trained_on: in which the verdict is "trained on".
      repetitions: draws.
    """

    scenario: str
    description: str
    num_images: int
    one_view: Interval
    plain: Interval
    adjusted: Interval
    trained_on: Interval
    repetitions: int


class TargetReliability(Record, frozen=True):
    """One target: how often it is accused of pictures it has not seen, and found out about those it has."""

    target: str
    num_scores: int
    accused: tuple[VerdictRates, ...]
    found: tuple[VerdictRates, ...]


class AlternativePower(Record, frozen=True):
    """Simulated scores: how often tests reject.

    Attributes:
      alternative: how P differs from U.
      num_images: of P, and of U.
      rejected: {test: share of data sets}.
      contradicted: share in which the omnibus test rejects, and finds the direction not that of training.
      repetitions: data sets.
    """

    alternative: str
    num_images: int
    rejected: dict[str, Interval]
    contradicted: Interval
    repetitions: int


class ReliabilityResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.reliability.verdicts`.

    Attributes:
      alpha: significance level. permutations: relabellings of every test. seed: of the draws.
      targets: what was found of each.
      alternatives: power of the omnibus test on simulated scores.
      unit_controls: of UnitMem, on the targets that have units.
      usage: shares of P told and pictures named, of each target.
    """

    format: Literal[1] = 1
    alpha: float
    permutations: int
    seed: int
    targets: tuple[TargetReliability, ...]
    alternatives: tuple[AlternativePower, ...]
    unit_controls: tuple[UnitControlStudy, ...]
    usage: tuple[UsageStudy, ...] = ()
