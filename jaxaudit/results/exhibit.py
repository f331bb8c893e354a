"""The pictures of P one by one, so that others can check which were named and that they are these."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.audit import TargetFacts
from jaxaudit.results.codec import Document, Record


class ExhibitPicture(Record, frozen=True):
    """One picture of P.

    Attributes:
      id: its name in P.
      named: whether it is named as trained on.
      score: mean normal score over all scores, higher = more likely a member.
      p_value: conformal, against U. adjusted_p_value: the smallest q at which it would be named.
      file_sha256: of the bytes of its file; None where it has none of its own.
      pixels_sha256: of the decoded picture (`jaxaudit.data.pixel_digest`).
      shown_sha256: of what the model was shown, resized and cropped, likewise.
    """

    id: str
    named: bool
    score: float | None
    p_value: float
    adjusted_p_value: float
    file_sha256: str | None
    pixels_sha256: str
    shown_sha256: str


class Exhibit(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.exhibit.make_exhibit`.

    Attributes:
      target: the model.
      source: P, as it was given. unpublished: U.
      finding: the sentence on P as a whole.
      question: fingerprint of the question that was asked.
      q: of the pictures named, at most this share was not trained on, on average.
      num_u: pictures of U that these are compared with.
      pictures: of P, the most likely member first.
    """

    format: Literal[1] = 1
    target: TargetFacts
    source: str
    unpublished: str
    finding: str
    question: str
    q: float
    num_u: int
    pictures: tuple[ExhibitPicture, ...]

    @property
    def named(self) -> tuple[ExhibitPicture, ...]:
        """The pictures that are named."""
        return tuple(picture for picture in self.pictures if picture.named)
