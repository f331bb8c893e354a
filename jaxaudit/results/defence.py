"""What a defence costs and what it leaves to an attacker who adapts: results.json of `experiments.defend`."""

from __future__ import annotations

from typing import Literal

import msgspec

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.inference import RequiredSize
from jaxaudit.results.mitigation import OriginalTarget

DefenceKind = Literal["undefended", "fresh_noise", "keyed_noise", "unit_mem", "gradient", "random", "variant"]
DefenceEffect = Literal["protects", "none", "not shown"]


class Extracted(Record, frozen=True):
    """How many training images of the half that is measured on come back.

    Attributes:
      attack: how they were asked for.
      share: of these images. count, images: as numbers.
      false_positives: held-out images that would count too. held_out: of how many.
    """

    attack: str
    share: Interval
    count: int
    images: int
    false_positives: int
    held_out: int


class LevelLeakage(Record, frozen=True):
    """What an attacker of one level gets; see `jaxaudit.stats.adaptive`.

    Attributes:
      level: "A0", "A1" or "A2".
      attack: the best for single pictures. tpr: its TPR. fpr: its FPR, 1% unless the threshold was frozen.
      verdict_attack, needed: the best for a verdict, and the images it takes; None if it is constant.
      share_attack, at_least: the best for the share of members among members, and the bound it gives.
      extracted: None for models that generate no discrete tokens.
    """

    level: Literal["A0", "A1", "A2"]
    attack: str
    tpr: Interval
    fpr: float
    verdict_attack: str
    needed: RequiredSize | None
    share_attack: str
    at_least: float
    extracted: Extracted | None = None


class Quality(Record, frozen=True):
    """How good a defended model is.

    Attributes:
      heldout_loss: of the half of the nonmembers that is measured on, as the model answers.
      frechet: between generated pictures and that half, squared units of the features; None with too few
        pictures for the features.
      diversity: of generated pictures, 1: as different from each other as pictures of their class are.
    """

    heldout_loss: Interval
    frechet: Interval | None
    diversity: Interval


class DefenceFacts(Record, frozen=True):
    """One defence at one strength; see `jaxaudit.audits.defence.Defence`."""

    kind: DefenceKind
    strength: float
    seed: int
    name: str


class QueriedTpr(Record, frozen=True):
    """The TPR of an attacker who averages so many answers."""

    queries: int
    tpr: Interval


class DefendedTarget(Record, frozen=True):
    """One defended model.

    Attributes:
      defence: what was done. quality: how good it is.
      levels: A0, A1, A2.
      by_queries: noise that can be averaged: of an attacker of level A2 who averages no more than so many
        answers.
      difference: TPR of the defended model's scores less the undefended one's, for whoever has both; None for
        the undefended model.
    """

    defence: DefenceFacts
    quality: Quality
    levels: tuple[LevelLeakage, ...]
    by_queries: tuple[QueriedTpr, ...] = ()
    difference: Interval | None = None


class DefencePoint(Record, frozen=True):
    """A defence at one strength, over its seeds; intervals reach from the lowest limit to the highest.

    Attributes:
      kind, name, strength: of the defence. seeds: how many.
      heldout_loss, frechet, diversity: see `Quality`.
      tpr: {level: TPR at 1% FPR}. extracted: {level: share}, empty without tokens.
      needed: {level: images a verdict takes, of the seed that takes fewest}, None if more than there are.
      at_least: {level: the largest bound on the share of members}.
      frontier: whether nothing has less loss and leaks less to A2.
      effect: see `jaxaudit.stats.frontier`; None for the undefended model.
      random_units, variants: TPR at A2 of random units, and of other trainings, at the same held-out loss;
        None where these do not reach it.
      queries_back: answers to average until A2 is back in the undefended interval, None if none suffice.
    """

    kind: DefenceKind
    name: str
    strength: float
    seeds: int
    heldout_loss: Interval
    frechet: Interval | None
    diversity: Interval
    tpr: dict[str, Interval]
    extracted: dict[str, Interval]
    needed: dict[str, int | None]
    at_least: dict[str, float]
    frontier: bool
    effect: DefenceEffect | None
    random_units: float | None
    variants: float | None
    queries_back: int | None


class DefenceResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.defence.compare_defences`.

    Attributes:
      target: before any defence.
      members, nonmembers: their sources. skipped: {side: {id: reason}} of pictures that were left out.
      measured_on: members and nonmembers in the half that is measured on.
      factor: scaled weights are multiplied by it. most_queries: an attacker averages at most so many answers.
      alpha: level of a verdict. seed: of halves and draws.
      measured: every defended model, the undefended one first. points: the same over seeds.
    """

    format: Literal[1] = 1
    target: OriginalTarget
    members: str
    nonmembers: str
    skipped: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    measured_on: tuple[int, int]
    factor: float
    most_queries: int
    alpha: float
    seed: int
    measured: tuple[DefendedTarget, ...]
    points: tuple[DefencePoint, ...]
