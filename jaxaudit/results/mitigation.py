"""What mitigations cost and what they buy: results.json of `experiments.mitigate`."""

from __future__ import annotations

from typing import Literal

import msgspec

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.extraction import BoundedRate
from jaxaudit.results.inference import RequiredSize

ChangeKind = Literal["none", "unit_mem", "activation", "random", "noise"]


class ChangeFacts(Record, frozen=True):
    """One change of a target; see `jaxaudit.audits.mitigation.Change`."""

    kind: ChangeKind
    strength: float
    factor: float
    seed: int


class Measured(Record, frozen=True):
    """Leakage and quality of one target.

    Attributes:
      score: the best for membership inference.
      tpr: its TPR at 1% FPR, None with too few nonmembers. auc: the area under its ROC curve.
      p_value: of dataset inference, and needed: images it takes; None if the sets cannot be compared.
      extracted: of the completed candidates, from the longest prefix. rate: their share.
      false_positives: among held-out images.
      heldout_loss: the loss of images the model was not trained on.
      frechet: distance between their completions and them; None with too few images for the features.
    """

    score: str
    tpr: Interval | None
    auc: Interval
    p_value: float | None
    needed: RequiredSize | None
    extracted: int
    completed: int
    rate: Interval
    false_positives: BoundedRate
    heldout_loss: Interval
    frechet: Interval | None


class ChangedTarget(Record, frozen=True):
    """A change, and what was measured of the target after it."""

    change: ChangeFacts
    measured: Measured


class OriginalTarget(Record, frozen=True):
    """The model that the changes start from."""

    name: str
    family: str
    fingerprint: str | None


class MitigationResults(Document, frozen=True, kw_only=True):
    """The target before and after each change.

    Attributes:
      members, nonmembers: their sources. skipped: {side: {id: reason}} of the pictures that were left out.
      records: no change first, then the changes in the order asked for.
    """

    format: Literal[2] = 2
    target: OriginalTarget
    members: str
    nonmembers: str
    skipped: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    records: tuple[ChangedTarget, ...]


class KeptMeasurement(Document, frozen=True, kw_only=True):
    """What is kept in a change's folder, measured.json, not to be measured again."""

    format: Literal[2] = 2
    measured: Measured
