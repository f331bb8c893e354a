"""What a training run reveals of its privacy."""

from __future__ import annotations

from jaxaudit.results.codec import Record


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
    """

    epsilon: float
    delta: float
    confidence: float
    guesses: int
    right: int
    num_guessed: int
    num_tuning: int
    seed: int
