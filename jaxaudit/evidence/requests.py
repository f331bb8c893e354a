"""What manifests say, as types: readers rely on these fields, and whoever measures may write down more.

Fields have a default where folders made by other hands may do without them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from jaxaudit.evidence.columns import Columns

Count = Annotated[int, msgspec.Meta(ge=0)]


class TargetSaid(msgspec.Struct, frozen=True):
    """What was measured."""

    family: str
    fingerprint: str | None
    num_params: Count
    num_classes: Count


class ClassesSaid(msgspec.Struct, frozen=True):
    """How the classes of pictures came about."""

    rule: str
    count: Count | None


class PicturesSaid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On which pictures."""

    source: str
    classes: ClassesSaid
    ids_sha256: str
    pixels_sha256: str
    labels_sha256: str
    conditions_sha256: str
    clusters_sha256: str


class ScoreSaid(msgspec.Struct, frozen=True):
    """What a score is."""

    description: str
    source: str
    access: Literal["gray-box", "white-box"]
    published: bool
    fit: Literal["logistic", "mixture"] = "logistic"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The request of any measurement of a target."""

    precision: str = ""
    preprocessing: dict[str, Any] = msgspec.field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = msgspec.field(default_factory=dict)


class UnitsRequest(Measured, frozen=True, kw_only=True):
    """The request of a map of units."""

    target: TargetSaid


class EvidenceRequest(Measured, frozen=True, kw_only=True):
    """The request of evidence."""

    target: TargetSaid | msgspec.UnsetType = msgspec.UNSET
    columns: Columns
    num_rows: dict[str, Count]
    shard_size: Annotated[int, msgspec.Meta(ge=1)]
    members: PicturesSaid | msgspec.UnsetType = msgspec.UNSET
    nonmembers: PicturesSaid | msgspec.UnsetType = msgspec.UNSET
    scores: tuple[str, ...] = ()
    score_info: dict[str, ScoreSaid] = msgspec.field(default_factory=dict)
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    feature_sets: dict[str, dict[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)
    main_view: str = ""
    inference: Literal["sum", "cdi"] = "sum"
    num_samples: Count = 0


class EvidenceRun(msgspec.Struct, frozen=True):
    """What evidence says of the run that began it."""

    target: str = ""
    scores: tuple[str, ...] = ()
    access: str = ""
    plan: str | None = None
    skipped: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    provenance: dict[str, Any] = msgspec.field(default_factory=dict)
    gflop_per_image: float | None = None
    evaluations_per_image: dict[str, dict[str, int]] | None = None
    jaxaudit: str = ""
    git_commit: str | None = None
