"""What a training run reveals of its privacy."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval


class PrivacyBound(Record, frozen=True):
    """The result of `jaxaudit.stats.one_run_epsilon`.

    Attributes:
      epsilon: the lower bound; 0 where the run is compatible with perfect privacy.
      delta: of the (epsilon, delta) it is about.
      confidence: with which it holds.
      guesses: "in" or "out", as many of each; about the other canaries nothing was said.
      right: guesses that were.
      num_guessed: canaries in the half that was guessed. num_tuning: in that on which `guesses` was chosen.
      seed: of the halves.
      score: by which was guessed, chosen on the tuning half; None if there was one without a name.
      tuning: {share of the canaries guessed about: the bound on the tuning half}, by which was chosen.
      most: what as many guesses would have shown had all been right.
    """

    epsilon: float
    delta: float
    confidence: float
    guesses: int
    right: int
    num_guessed: int
    num_tuning: int
    seed: int
    score: str | None
    tuning: dict[float, float]
    most: float


class NoisyStage(Record, frozen=True):
    """Steps of a training that add Gaussian noise to a sum of clipped gradients.

    Attributes:
      noise_multiplier: standard deviation of the noise, in units of the norm that gradients are clipped to.
      sampling_rate: probability with which each record enters a step, by a coin of its own.
      steps: how many.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int


class CanaryCoins(Document, frozen=True, kw_only=True):
    """Which canaries are in a training set: OUT-canaries.json of `train_target`, which no score reads.

    Attributes:
      seed: from which, with its pixels, the coin of a canary follows.
      digests: of the canaries' pixels (`jaxaudit.data.pixel_digest`).
      included: what the coins said, in the same order.
    """

    format: Literal[1] = 1
    seed: int
    digests: tuple[str, ...]
    included: tuple[bool, ...]


class EpsilonResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.epsilon.audit_epsilon`.

    Attributes:
      target, family, fingerprint: of the model.
      source: of the canaries. skipped: {"canaries": {id: reason}}.
      num_canaries: with a coin. num_included: of these, trained on.
      scores: of which one was chosen.
      bound: what the run shows.
      noise: of the training; none where it added none, or nobody knows.
      upper: the epsilon that `noise` guarantees at the delta of the bound; None without noise.
      contradicted: whether the bound exceeds it: then the training, or what is known of it, is not as told.
    """

    format: Literal[1] = 1
    target: str
    family: str
    fingerprint: str | None
    source: str
    skipped: dict[str, dict[str, str]]
    num_canaries: int
    num_included: int
    scores: tuple[str, ...]
    bound: PrivacyBound
    noise: tuple[NoisyStage, ...]
    upper: float | None
    contradicted: bool


class MechanismBounds(Record, frozen=True):
    """Bounds on many runs of a mechanism whose epsilon is known.

    Attributes:
      mechanism: its name. epsilon: what is true.
      num_canaries: of a run, half of them guessed.
      above: share of runs in which the bound exceeds `epsilon`.
      mean: of the bounds. low, high: between which the middle nine tenths of them lie.
      runs: how many.
    """

    mechanism: str
    epsilon: float
    num_canaries: int
    above: Interval
    mean: float
    low: float
    high: float
    runs: int


class EpsilonStudyResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.epsilon_study.study_epsilon`.

    Attributes:
      delta: of the Gaussian mechanism; the others have 0.
      confidence: of the bounds.
      seed: of the runs.
      mechanisms: a row per mechanism, epsilon and number of canaries.
    """

    format: Literal[1] = 1
    delta: float
    confidence: float
    seed: int
    mechanisms: tuple[MechanismBounds, ...]
