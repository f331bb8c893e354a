"""What bfloat16 changes: the file of `experiments.precision`."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval


class PrecisionChange(Record, frozen=True):
    """One score in bfloat16 beside float32, on the same pictures.

    Attributes:
      auc, tpr: in float32, the TPR at 1% FPR.
      auc_change, tpr_change: bfloat16 minus float32, with paired 95% intervals.
      suffers: whether the interval of the AUC's change excludes 0 and the change exceeds the bound.
    """

    auc: float
    tpr: float
    auc_change: Interval
    tpr_change: Interval
    suffers: bool


class JudgedPrecision(Record, frozen=True):
    """The verdict of one precision: its status, and the p-value of its test (None if nothing was tested)."""

    status: str
    p_value: float | None


class TargetPrecision(Record, frozen=True):
    """One target; scores by name, verdicts by precision."""

    target: str
    num_members: int
    num_nonmembers: int
    scores: dict[str, PrecisionChange]
    verdicts: dict[str, JudgedPrecision]


class PrecisionStudy(Document, frozen=True, kw_only=True):
    """bfloat16 against float32, target by target.

    Attributes:
      platform: that computed.
      bound: changes of an AUC that do not matter, even where they are certain.
      repetitions: draws of the bootstrap.
    """

    format: Literal[1] = 1
    platform: str
    bound: float
    repetitions: int
    targets: tuple[TargetPrecision, ...]
