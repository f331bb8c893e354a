"""Pictures as they are and in ways that sets of pictures go wrong, scored once for many draws.

A target is asked about pictures it was trained on and about unseen ones; and about the unseen ones again,
each with a wrong label, all with one label, mirrored, and moved by one pixel. What P and U of a study consist
of is then drawn from these rows (`jaxaudit.audits.reliability.scenarios`).

Axes: N pictures, F scores, K blind features.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.data import Picture, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence
from jaxaudit.paths import Location, as_place
from jaxaudit.protocols import DEFAULT
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_ONE_LABEL = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Scored pictures: [N,F] scores, [N,K] blind features, [N] labels."""

    scores: Float[np.ndarray, "N F"]
    blind: Float[np.ndarray, "N K"]
    labels: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Int[np.ndarray, " n"]) -> Rows:
        """These rows, in this order."""
        return Rows(self.scores[rows], self.blind[rows], self.labels[rows])

    def replaced(self, rows: Int[np.ndarray, " n"], by: Rows) -> Rows:
        """With those of `by` in these places."""
        parts = [np.array(part) for part in (self.scores, self.blind, self.labels)]
        for part, new in zip(parts, (by.scores, by.blind, by.labels), strict=True):
            part[rows] = new
        return Rows(*parts)


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredPictures:
    """Of one target.

    Attributes:
      target: its name. names: of the scores.
      members: pictures it was trained on. unseen: others.
      wrong_label, one_label, mirrored, shifted: the unseen ones, altered, in the same order.
      ease: [N] how easy an unseen picture is for a classifier: log-probability of its label, out of fold.
    """

    target: str
    names: tuple[str, ...]
    members: Rows
    unseen: Rows
    wrong_label: Rows
    one_label: Rows
    mirrored: Rows
    shifted: Rows
    ease: Float[np.ndarray, " N"]


def score_pictures(
    target: Target,
    members: Source,
    unseen: Source,
    directory: Location,
    config: CollectConfig,
    *,
    progress: Progress = silent,
) -> ScoredPictures:
    """Scores everything; finished parts in `directory` are not scored again.

    Args:
      target: a model of classes.
      members, unseen: pictures it was, and was not, trained on, with labels.
      directory: keeps the evidence.
      config: how scores are measured.
      progress: hears of pictures.

    Raises:
      InputError: as `collect_evidence`, or if the pictures have no labels.
    """
    if unseen.labels is None or target.num_classes < 2:
        raise InputError(f"{unseen.spec} and {target.name} need classes, which this study confuses.")
    labels = np.asarray(unseen.labels)
    wrong = (labels + 1 + _hashes(unseen) % (target.num_classes - 1)) % target.num_classes
    pairs = {
        "as_they_are": (members, unseen),
        "wrong_label-mirrored": (
            _altered(unseen, "wrong labels", labels=wrong),
            _altered(unseen, "mirrored", lambda pixels: pixels[:, ::-1]),
        ),
        "one_label-shifted": (
            _altered(unseen, "one label", labels=np.full(len(labels), _ONE_LABEL)),
            _altered(unseen, "shifted", _shift),
        ),
    }
    rows = []
    for name, sides in pairs.items():
        evidence = collect_evidence(target, *sides, as_place(directory) / name, config, progress=progress)
        names, *pair = read_rows(evidence)
        rows += pair
    seen, other, mislabelled, mirrored, one_label, shifted = rows
    return ScoredPictures(
        Path(target.name).name,
        names,
        seen,
        other,
        mislabelled,
        one_label,
        mirrored,
        shifted,
        ease=_ease(other),
    )


def read_rows(evidence: Evidence) -> tuple[tuple[str, ...], Rows, Rows]:
    """The scores that a verdict rests on, by name, and both sides."""
    groups = evidence.request["feature_sets"][DEFAULT.name].values()
    names = tuple(score for group in groups for score in group)
    members, nonmembers = (
        Rows(table.matrix(names), table.blind, table.labels) for table in map(evidence.read, SPLITS)
    )
    return names, members, nonmembers


def _altered(
    source: Source,
    how: str,
    change: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels,
    *,
    labels: Int[np.ndarray, " N"] | None = None,
) -> Source:
    def read(index: int) -> Picture:
        picture = source.read(index)
        return picture._replace(pixels=np.ascontiguousarray(change(picture.pixels)))

    labels = source.labels if labels is None else labels.astype(np.int32)
    spec = f"{source.spec} ({how})"
    return dataclasses.replace(source, spec=spec, read=read, labels=labels, origin=None, index=None)


def _shift(pixels: np.ndarray) -> np.ndarray:
    """One pixel to the right, the first column black."""
    shifted = np.zeros_like(pixels)
    shifted[:, 1:] = pixels[:, :-1]
    return shifted


def _hashes(source: Source) -> Int[np.ndarray, " N"]:
    return np.array([zlib.crc32(sample.encode()) for sample in source.ids])


def _ease(rows: Rows) -> Float[np.ndarray, " N"]:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    found = np.asarray(
        cross_val_predict(classifier, rows.blind, rows.labels, cv=5, method="predict_log_proba")
    )
    return found[np.arange(len(rows)), np.searchsorted(np.unique(rows.labels), rows.labels)]
