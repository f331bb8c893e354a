"""What is fixed before any picture is scored."""

from __future__ import annotations

from typing import Any, Literal

from jaxaudit.results.codec import Document, Record


class Plan(Document, frozen=True, kw_only=True):
    """What will be asked, of which model and pictures, and how it will be decided.

    Attributes:
      written: when, in UTC (ISO 8601), by the clock of the machine that wrote it.
      request: of the evidence: target, pictures with the hashes of their pixels and labels, scores, options.
      reference: what the request of the reference target's evidence says of the target; None without one.
      known: what the request of their evidence says of the known members; None without.
      protocol, procedure: names of the rules. alpha: significance level. power: for the number of pictures.
      seed: of the tests, if somebody chose it; None lets it follow from `fingerprint`.
      level: of the gate. permutations: relabellings.
      previous: fingerprint of the last question that was asked before; None for the first.
      fingerprint: sha256 of all this.
    """

    format: Literal[2] = 2
    written: str
    request: dict[str, Any]
    reference: dict[str, Any] | None
    known: dict[str, Any] | None
    protocol: str
    procedure: str
    alpha: float
    power: float
    seed: int | None
    level: float
    permutations: int
    previous: str | None
    fingerprint: str


class Planned(Record, frozen=True):
    """The plan that an audit was given.

    Attributes:
      fingerprint: of the plan. written: when.
      beforehand: whether the evidence was begun under it; else it does not count.
    """

    fingerprint: str
    written: str
    beforehand: bool
