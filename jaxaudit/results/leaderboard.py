"""Scores side by side: what each gives away of each target, and what it costs."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.audit import Access, TargetFacts
from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.inference import Gate


class BoardEntry(Record, frozen=True):
    """One score of one target, with an interval for each number alone.

    Attributes:
      passes: through the network, forward or backward, for one image, had no other score been asked for.
      auc: the area under the ROC curve.
      tpr_at_fpr: the true-positive rate by false-positive rate.
    """

    passes: int
    auc: Interval
    tpr_at_fpr: dict[float, Interval]


class FrontierPoint(Record, frozen=True):
    """The best score of at most so many passes, chosen on some images and measured on others.

    Attributes:
      score: its name.
      found: what it gives away on images that the choice has not seen; intervals hold for all points of a
        frontier at once.
    """

    score: str
    found: BoardEntry


class Leaderboard(Record, frozen=True):
    """The result of `jaxaudit.stats.leaderboard`.

    Attributes:
      entries: every score by name, the largest AUC first.
      frontier: the best score of each cost at which it changes, in order of cost; the last is the best of
        all.
      num_members, num_nonmembers: images of the entries; of those that hang together one.
      num_measured_members, num_measured_nonmembers: images that the frontier is measured on.
    """

    entries: dict[str, BoardEntry]
    frontier: tuple[FrontierPoint, ...]
    num_members: int
    num_nonmembers: int
    num_measured_members: int
    num_measured_nonmembers: int


class TargetBoard(Record, frozen=True):
    """One target of a leaderboard.

    Attributes:
      target: which.
      board: its scores.
      access: what of the model each score needs, by name.
      gate: what tells the two sets apart without the model.
      skipped: {side: {id: reason}} of the images that were left out.
    """

    target: TargetFacts
    board: Leaderboard
    access: dict[str, Access]
    gate: Gate
    skipped: dict[str, dict[str, str]]


class LeaderboardResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit leaderboard`.

    Attributes:
      members, nonmembers: what the images were opened from.
      asked: names or patterns of scores.
      num_samples: images drawn of each side, 0 for all.
      confidence: of the intervals.
      seed: of draws, stochastic scores and the choice.
      targets: in the order given.
    """

    format: Literal[1] = 1
    members: str
    nonmembers: str
    asked: tuple[str, ...]
    num_samples: int
    confidence: float
    seed: int
    targets: tuple[TargetBoard, ...]
