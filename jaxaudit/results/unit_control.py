"""How often UnitMem's control is right where the truth is known."""

from __future__ import annotations

from jaxaudit.results.codec import Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.localization import Control


class ControlRates(Record, frozen=True):
    """How often the control rejects at the study's level, for one share of top units; exact 95% intervals.

    Attributes:
      top: share of the units that are top.
      unseen: of random splits of unseen pictures, one half called training pictures: false accusations.
      swapped: the same splits, the other half called so.
      planted: the splits of `unseen`, after some units were made to answer to one picture of that half each.
      members: the control of the training pictures against all unseen ones, in one test.
    """

    top: float
    unseen: Interval
    swapped: Interval
    planted: Interval
    members: Control


class UnitControlStudy(Record, frozen=True):
    """The result of `jaxaudit.audits.reliability.unit_control.study_unit_control`.

    Attributes:
      target: its name. source: of the unseen pictures.
      num_splits: random splits. size: pictures on each side of a split.
      num_planted: units with something planted. alpha: level of the tests.
      rates: one for every share of top units.
    """

    target: str
    source: str
    num_splits: int
    size: int
    num_planted: int
    alpha: float
    rates: tuple[ControlRates, ...]
