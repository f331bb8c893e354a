"""What an audit found, and of what: results.json; and the owner's answer, answer.json."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.individuals import Individuals, Sensitivity, SequentialEvidence
from jaxaudit.results.inference import (
    DatasetInference,
    Forecast,
    Gate,
    Identification,
    NullControl,
    PowerCurve,
    SetTest,
)
from jaxaudit.results.membership import Histogram, MembershipInference
from jaxaudit.results.plan import Planned
from jaxaudit.results.provenance import GeneratedShare
from jaxaudit.results.usage import UsageFraction

Access = Literal["gray-box", "white-box"]
Status = Literal["trained_on", "no_evidence", "contradicted", "not_testable", "paper"]
"""A verdict, or "paper" where the published procedure was repeated, which gives none."""


class TargetFacts(Record, frozen=True):
    """The model in question.

    Attributes:
      name: as it was loaded. family: of the model.
      fingerprint: sha256 over its weights, None if it has none.
      num_params: of generator and tokenizer. num_classes: 0 where labels are no condition.
    """

    name: str
    family: str
    fingerprint: str | None
    num_params: int
    num_classes: int


class ImageSet(Record, frozen=True):
    """One of the two sets.

    Attributes:
      source: what it was opened from.
      ids_sha256, conditions_sha256, pixels_sha256, labels_sha256, clusters_sha256: over every picture, of its
        name, of what the model is asked with, of name and pixels, of name and class, of what it hangs
        together with.
      num_images: its size.
      num_independent: what a verdict counts: without `copies`, and of pictures that hang together (copies of
        each other, or declared to belong together) one. None where there is no verdict.
      copies: {id: a picture of the other set} that are altered copies of pictures of the other set, and so
        count for neither.
      class_rule: how the classes came about.
      skipped: {id: reason} of the pictures that could not be used and were left out.
    """

    source: str
    ids_sha256: str
    conditions_sha256: str
    num_images: int
    pixels_sha256: str = ""
    labels_sha256: str = ""
    clusters_sha256: str = ""
    class_rule: str = ""
    num_independent: int | None = None
    copies: dict[str, str] = msgspec.field(default_factory=dict)
    skipped: dict[str, str] = msgspec.field(default_factory=dict)


class ScoreFacts(Record, frozen=True):
    """A score: what it is, who proposed it, what of the model it needs; whether it is published code's."""

    description: str
    source: str
    access: Access
    reproduces_published_code: bool


class Collected(Record, frozen=True):
    """How the scores were measured.

    Attributes:
      scores: names or patterns asked for. access: "gray" or "white".
      options: of stochastic scores.
      preprocessing: of pictures.
      num_samples: images drawn of each side, 0 for all. seed: of the draw and of stochastic scores.
      precision: dtype of the model. shard_size: images per file.
      versions: of packages. git_commit: of jaxaudit, None if it was installed.
      gflop_per_image: 10⁹ floating-point operations, None if not recorded.
      evaluations_per_image: of a diffusion model's network, as planned and naively (`Scorer.evaluations`);
        None for other kinds of target.
      machine: where it ran, which changes nothing beyond rounding.
    """

    scores: tuple[str, ...]
    access: str
    options: dict[str, Any]
    preprocessing: dict[str, Any]
    num_samples: int
    seed: int
    precision: str
    shard_size: int
    versions: dict[str, str]
    git_commit: str | None
    gflop_per_image: float | None
    evaluations_per_image: dict[str, dict[str, int]] | None
    machine: dict[str, Any]


Inference = Literal["sum", "cdi"]
"""Dataset inference: a test of summed scores, or of what a learned scorer makes of images held out."""


class Finding(Record, frozen=True):
    """The status of an audit and the sentence to quote."""

    status: Status
    sentence: str


class Verdict(Record, frozen=True):
    """The result of `jaxaudit.stats.verdict`.

    Attributes:
      finding: in words.
      test: what it rests on.
      sensitivity: how strong a hidden difference would overturn it; None unless P was found to be trained on.
      individuals: members among P's images; None where P and U are not comparable as they are.
      usage: the share of P that was trained on; None where they are not, and unless P was found to be
        trained on or members are known.
    """

    finding: Finding
    test: SetTest
    sensitivity: Sensitivity | None
    individuals: Individuals | None
    usage: UsageFraction | None


class AuditResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.assess`.

    Attributes:
      protocol, procedure: names of what the statistics follow.
      alpha: significance level of every test. power: share of draws that must reject for a size to be enough.
      seed: of the statistics.
      target, members, nonmembers: what was tested.
      scores: every score of the evidence by name.
      collected: how they were measured.
      provenance: of the target's weights, as recorded with them.
      inference: which test asks about the set as a whole.
      membership: of single images. histograms: of the best score of each view.
      finding: in words. gate: the blind gate.
      test, sensitivity, individuals, usage: what the verdict rests on, as in `Verdict`; None under "paper".
      reference: the target whose scores of the same images stood beside; None without.
      seed_given: whether someone chose `seed`; else it follows from the plan, or without one that counts from
        the evidence.
      plan: what was fixed before scoring; None if nothing was.
      known: pictures known to be members, by which `usage` estimates P's share; None without.
      main_view: the view of the attack tailored to the kind of target.
      null_control: unseen images against unseen ones, by the test of the main view; None where there is none.
      dataset_inference, power_curves: by view; None if the sets could not be tested.
    """

    format: Literal[4] = 4
    protocol: str
    procedure: str
    alpha: float
    power: float
    seed: int
    target: TargetFacts
    members: ImageSet
    nonmembers: ImageSet
    scores: dict[str, ScoreFacts]
    collected: Collected
    provenance: dict[str, Any]
    inference: Inference
    membership: MembershipInference
    histograms: dict[str, Histogram]
    main_view: str
    finding: Finding
    gate: Gate
    test: SetTest | None
    sensitivity: Sensitivity | None
    individuals: Individuals | None
    usage: UsageFraction | None
    reference: TargetFacts | None
    seed_given: bool
    null_control: NullControl | None
    dataset_inference: dict[str, DatasetInference | Identification] | None
    power_curves: dict[str, PowerCurve] | None
    plan: Planned | None = None
    known: ImageSet | None = None

    @property
    def skipped(self) -> dict[str, dict[str, str]]:
        """{side: {id: reason}} of the pictures that were left out."""
        known = {"known members": self.known.skipped} if self.known else {}
        return {"members": self.members.skipped, "nonmembers": self.nonmembers.skipped, **known}

    @property
    def copies(self) -> dict[str, dict[str, str]]:
        """{side: {id: a picture of the other side}} of the altered copies across the sides."""
        return {"members": self.members.copies, "nonmembers": self.nonmembers.copies}


Answer = Literal["identified", "not_identified", "contradicted", "too_few", "not_testable", "generated"]
"""What an owner is told: `Status` in her words, or that there are signs but too few pictures."""


class OwnersAnswer(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.identify.identify_data`.

    Attributes:
      status: "too_few" if there are signs of training, alpha < p <= 0.05, but not enough pictures to be sure.
        It rests on `asked` if there were questions before, else on the finding of the audit.
      required: how many pictures one question takes; None unless there are such signs and it is the first.
      asked: this question, and those of earlier answers that were named, with the evidence of all.
      audit: everything the answer rests on; P are the members, U the nonmembers.
      generated: how much of P the model made itself; None unless this question speaks for training (an
        e-value above 1), or where no decoder shows it.
    """

    format: Literal[4] = 4
    status: Answer
    required: Forecast | None
    asked: SequentialEvidence
    audit: AuditResults
    generated: GeneratedShare | None = None
