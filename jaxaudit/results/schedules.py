"""What walks through a diffusion model give away, schedule by schedule."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval, MeanStd
from jaxaudit.results.inference import Gate

Told = Literal["told_apart", "contradicted", "not_told_apart", "not_testable"]
"""Whether members are told from nonmembers, against what the loss says, not at all, or without the model."""


class Leakage(Record, frozen=True):
    """How well a score tells members from nonmembers, all in [0, 1].

    Attributes:
      tpr: at the false-positive rate of the results. auc: under the ROC curve.
      published: the former as published, over random subsets.
    """

    tpr: Interval
    auc: Interval
    published: MeanStd


class WalkLeakage(Record, frozen=True):
    """Of one error of one schedule, at the step that was best on the other half.

    Attributes:
      name: of the schedule, or what it is compared to.
      error: "model", "latent" or "pixel".
      step: from 0.
      leakage: measured on the test half.
      auc_by_step: of every step, on the test half.
    """

    name: str
    error: str
    step: int
    leakage: Leakage
    auc_by_step: tuple[float, ...]


class WalkedSchedule(Record, frozen=True):
    """A schedule, as `jaxaudit.attacks.schedules.Schedule` has it.

    Attributes:
      name: "1" to "16", "baseline" or "generation".
      times, noised, guidance, fresh, text_noise, jolt: see there.
      passes: of the network for one image under one noise.
    """

    name: str
    times: tuple[int, ...]
    noised: tuple[int, ...]
    guidance: float | None
    fresh: bool
    text_noise: float
    jolt: tuple[int, float] | None
    passes: int


class ClassifierLeakage(Record, frozen=True):
    """Of a classifier over all errors of all steps, by nested cross-validation.

    Attributes:
      leakage: of pictures that neither the classifier nor its choice has seen.
      chosen: the classifier of each outer fold.
      unnested: what is found where the best classifier is chosen on the pictures it is reported on, as
        published: too much. unnested_auc, unnested_tpr: of it.
      num_features: of a picture.
    """

    leakage: Leakage
    chosen: tuple[str, ...]
    unnested: str
    unnested_auc: float
    unnested_tpr: float
    num_features: int


class LowRankLeakage(Record, frozen=True):
    """Of what one step of training on a picture changes, on the test half.

    Attributes:
      leakage: of the likelihood ratio.
      rank, learning_rate: of the step.
    """

    leakage: Leakage
    rank: int
    learning_rate: float


class ScheduleResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.schedules.attack_by_schedules`.

    Attributes:
      target, family, fingerprint: of the model.
      sources: {"members": spec, "nonmembers": spec}. skipped: {the same: {id: reason}}.
      num_images: {the same: independent pictures that were walked}.
      num_tested: {the same: those of the test half}.
      noises: over which errors are averaged.
      fpr, confidence: of rates and intervals. seed: of draws and halves.
      schedules: that were walked. omitted: {name: why not}.
      walks: an entry per schedule and error, then what they are compared to.
      best: the one of the schedules that was best on the half it was chosen on.
      classifier, low_rank: None where there are too few pictures, or no such step.
      gate: whether the pictures differ without the model.
      told: the finding, by `best`, the loss at t = 100 and the gate.
    """

    format: Literal[1] = 1
    target: str
    family: str
    fingerprint: str | None
    sources: dict[str, str]
    skipped: dict[str, dict[str, str]]
    num_images: dict[str, int]
    num_tested: dict[str, int]
    noises: int
    fpr: float
    confidence: float
    seed: int
    schedules: tuple[WalkedSchedule, ...]
    omitted: dict[str, str]
    walks: tuple[WalkLeakage, ...]
    best: WalkLeakage
    classifier: ClassifierLeakage | None
    low_rank: LowRankLeakage | None
    gate: Gate
    told: Told
