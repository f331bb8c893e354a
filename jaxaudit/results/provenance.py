"""Which pictures a model made, which it was trained on, and neither."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record
from jaxaudit.results.estimates import Interval
from jaxaudit.results.individuals import Individuals

Origin = Literal["generated", "member", "neither"]
"""What is found about a picture; "neither" says that nothing is shown."""

SetOrigin = Literal["generated", "some_generated", "some_members", "nothing_shown"]
"""What is found about a set: more than half is generated, some pictures are, some are members, or nothing."""


class GeneratedShare(Record, frozen=True):
    """The result of `jaxaudit.stats.generated_share`: how much of P the model made.

    Attributes:
      at_least: a lower bound on the share that came through the model's decoder.
      mostly: whether that is more than half.
      confidence: of the bound.
      num_p, num_u: pictures.
    """

    at_least: float
    mostly: bool
    confidence: float
    num_p: int
    num_u: int


class Provenance(Record, frozen=True):
    """The result of `jaxaudit.stats.provenance`.

    Attributes:
      status: about the set. sentence: in words.
      share: how much of P the model made.
      generated: the pictures listed as generated, at a false-discovery rate.
      members: of the others, those listed as members; a picture listed as generated has p = 1 there.
      origins: of every picture, in the order of `generated.ids`.
    """

    status: SetOrigin
    sentence: str
    share: GeneratedShare
    generated: Individuals
    members: Individuals
    origins: tuple[Origin, ...]


class ProvenanceResults(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.provenance.identify_provenance`.

    Attributes:
      target, family, fingerprint: of the model.
      sources: {"published": spec, "unpublished": spec}. skipped: {the same: {id: reason}}.
      score: by which pictures are found generated. member_score: by which they are found members.
      search_steps: of the score "search".
      seed: of stochastic membership scores.
      found: what was found.
    """

    format: Literal[1] = 1
    target: str
    family: str
    fingerprint: str | None
    sources: dict[str, str]
    skipped: dict[str, dict[str, str]]
    score: str
    member_score: str
    search_steps: int
    seed: int
    found: Provenance


class KnownSet(Record, frozen=True):
    """What is found of a set whose pictures all are of one known kind.

    Attributes:
      name: of the set. description: what its pictures are.
      num_images: of the set.
      generated, member: share of its pictures found so. at_one_percent: of those with a p-value of being
        generated of at most 1%.
      auc: {score: AUC with which the set is told from unseen pictures, above 1/2 if it looks more generated}.
      status: of the set as a whole. at_least: the bound on its generated share.
    """

    name: str
    description: str
    num_images: int
    generated: Interval
    member: Interval
    at_one_percent: Interval
    auc: dict[str, float]
    status: SetOrigin
    at_least: float


class NullProvenance(Record, frozen=True):
    """Unseen pictures against unseen ones, many times: how often something is found where nothing is.

    Attributes:
      generated: share of draws in which a picture is listed as generated. member: as a member.
      mostly: in which the set is found mostly generated.
      num_p, num_u: pictures of a draw. repetitions: draws.
    """

    generated: Interval
    member: Interval
    mostly: Interval
    num_p: int
    num_u: int
    repetitions: int


class StudiedProvenance(Record, frozen=True):
    """One target: sets of known pictures, and the null."""

    target: str
    score: str
    member_score: str
    sets: tuple[KnownSet, ...]
    null: NullProvenance


class ProvenanceStudy(Document, frozen=True, kw_only=True):
    """The result of `jaxaudit.audits.provenance.study_provenance`.

    Attributes:
      q: false-discovery rate of the lists. confidence: of the bound on the generated share.
      seed: of the pictures that are generated, and of the draws.
      targets: what was found with each. refused: {target: why it has no answer}.
    """

    format: Literal[1] = 1
    q: float
    confidence: float
    seed: int
    targets: tuple[StudiedProvenance, ...]
    refused: dict[str, str]
