"""Where UnitMem is high, and which pictures it comes from: results.json of `experiments.localize`.

Axes: T stages, K hidden layers.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from jaxaudit.results.audit import TargetFacts
from jaxaudit.results.codec import Document, Record

Cells = tuple[tuple[float, ...], ...]
"""[T,K] numbers, one for every stage and hidden layer."""


class TopUnit(Record, frozen=True):
    """A unit with a high UnitMem.

    Attributes:
      stage: name. layer, unit: name of its hidden layer, and its number there.
      unit_mem: UnitMem, floored. class_mem: ClassMem, None with a single class.
      maximum, rest: mean activation on the picture that fires it most, and on all others.
      picture: id of that picture. label: its class.
    """

    stage: str
    layer: str
    unit: int
    unit_mem: float
    class_mem: float | None
    maximum: float
    rest: float
    picture: str
    label: int


class FiringPicture(Record, frozen=True):
    """A picture that is the one to fire some top units: its id, class, and how many units these are."""

    picture: str
    label: int
    num_units: int


class ClassShare(Record, frozen=True):
    """A class: its share of the pictures, and that of its pictures in firing the top units."""

    label: int
    pictures: float
    top_units: float


class Agreement(Record, frozen=True):
    """How a subset ranks the units, compared with the largest subset.

    Attributes:
      subset: share of the source. size: pictures.
      spearman: rank correlation of UnitMem over all units.
      overlap: share of the top units that are top units of the largest subset as well.
    """

    subset: float
    size: int
    spearman: float
    overlap: float


class Control(Record, frozen=True):
    """Which pictures fire the top units of training and unseen pictures pooled.

    Attributes:
      num_members, num_nonmembers: pictures pooled.
      num_units: top units of the pool. num_firing: pictures that fire one.
      share: of these that are training pictures.
      chance: its mean if the pictures of every class are dealt to the two sides at random. low, high: the
        range of 95% of such deals.
      p_value: one-sided and exact, over all permutations of the pictures within their classes.
    """

    num_members: int
    num_nonmembers: int
    num_units: int
    num_firing: int
    share: float
    chance: float
    low: float
    high: float
    p_value: float


class Localization(Record, frozen=True):
    """The result of `jaxaudit.stats.localization.localization`.

    Attributes:
      stages: T names. layers: K names. widths: units of each. num_pictures: N.
      top: share that is called top, of the units that one picture alone fires. threshold: their smallest
        UnitMem, here and below with a floor (`jaxaudit_kernels.unit_memorization`).
      mean, high: mean and 99th percentile of UnitMem over the units of a stage and layer.
      top_share: share of them that are top.
      class_mean: mean ClassMem; None with a single class.
      shared: share of all units that several pictures fire alike. faint: share of all units whose UnitMem the
        floor holds down, because they hardly fire at all.
      top_units: the highest. pictures: those that fire the most top units. num_firing: those that fire any.
      classes: every class with pictures. agreement: one per subset, ascending. control: if there was one.
    """

    stages: tuple[str, ...]
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    num_pictures: int
    top: float
    threshold: float
    mean: Cells
    high: Cells
    top_share: Cells
    class_mean: Cells | None
    shared: float
    faint: float
    top_units: tuple[TopUnit, ...]
    pictures: tuple[FiringPicture, ...]
    num_firing: int
    classes: tuple[ClassShare, ...]
    agreement: tuple[Agreement, ...]
    control: Control | None


class ViewsFacts(Record, frozen=True):
    """Views a picture was averaged over, and whether half of them were mirrored."""

    num_views: int
    flip: bool


class LocalizationResults(Document, frozen=True, kw_only=True):
    """What was measured on which target, and what it adds up to.

    Attributes:
      source: of the training pictures. ids_sha256: of the ids of those used.
      control_source: of the unseen pictures, None without a control.
      skipped: {"members" or "nonmembers": {id: reason}} of the pictures that were left out.
      subsets: shares of the source. seed: of subsets, views, hidden tokens and noise.
      views: of a picture. timestep, mask_ratio: see `jaxaudit.attacks.localization.ActivationMeter`.
      precision: dtype of the model. versions: of packages.
      localization: what was found.
    """

    format: Literal[3] = 3
    target: TargetFacts
    source: str
    ids_sha256: str
    control_source: str | None
    skipped: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    subsets: tuple[float, ...]
    seed: int
    views: ViewsFacts
    timestep: int | None
    mask_ratio: float | None
    precision: str
    versions: dict[str, str]
    localization: Localization
