"""What sampling would bring back of a training set."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record


class Regeneration(Record, frozen=True):
    """The result of `jaxaudit.stats.regeneration`.

    Attributes:
      extracted: images discoverable within `most_tries` and more probable than every held-out image.
      discoverable: the former alone. held_out_discoverable: of the held-out images.
      held_out_limit: below this share of unseen images are as probable as what is extracted.
      fewest_tries: of any image trained on, for a chance of `probability`; None if none is ever drawn.
      expected: {tries: images expected back}. held_out_expected: of the held-out images.
      most_tries, probability, confidence: as given.
      num_images, num_held_out: images.
    """

    extracted: int
    discoverable: int
    held_out_discoverable: int
    held_out_limit: float
    fewest_tries: float | None
    expected: dict[int, float]
    held_out_expected: dict[int, float]
    most_tries: int
    probability: float
    confidence: float
    num_images: int
    num_held_out: int


class PrefixRegeneration(Record, frozen=True):
    """What comes back after a prefix of `prefix` steps of generation, that is `tokens`."""

    prefix: int
    tokens: int
    found: Regeneration


class RegenerationResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.extraction.regenerate`.

    Attributes:
      target, family, fingerprint: of the model.
      sources: {"candidates": spec, "held_out": spec}. skipped: {the same: {id: reason}}.
      temperature, top_k, top_p, guidance, guidance_power: how it is sampled.
      tokens: of an image.
      prefixes: by ascending length.
    """

    format: Literal[1] = 1
    target: str
    family: str
    fingerprint: str | None
    sources: dict[str, str]
    skipped: dict[str, dict[str, str]]
    temperature: float
    top_k: int
    top_p: float
    guidance: float
    guidance_power: float
    tokens: int
    prefixes: tuple[PrefixRegeneration, ...]
