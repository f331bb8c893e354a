"""What can be seen of the pictures of a pool without any model, kept in shards, and put into columns.

Axes: N pictures, K features, D channels of an embedding.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.audits.fill import filled
from jaxaudit.audits.pictures import Pictures
from jaxaudit.data import BLIND_NAMES, UNKNOWN_LABEL, Preprocessing, batches
from jaxaudit.data.wording import wording_features
from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, Shard, joined
from jaxaudit.paths import Location
from jaxaudit.runtime.progress import Progress
from jaxaudit.stats.propensity import leading_components

Columns = dict[str, np.ndarray]
"""{column: [N] or [N,F]} of some pictures."""

_CONTENTS = Contents("features of a pool")
_SPLIT = "pictures"
_SHARD, _BATCH = 512, 64
_COMPONENTS = 32  # of embeddings


@dataclasses.dataclass(frozen=True)
class Features:
    """What two pools are compared by.

    Attributes:
      values: [N,K] of both pools, P first. names: of the K features.
      kinds: {kind: how many of these}.
      left_out: kinds that one pool alone has, or not for all of its pictures.
      labels: [N] classes, None where there are none.
    """

    values: Float[np.ndarray, "N K"]
    names: tuple[str, ...]
    kinds: dict[str, int]
    left_out: tuple[str, ...]
    labels: Int[np.ndarray, " N"] | None


def read_pool(
    pictures: Pictures, view: Preprocessing, progress: Progress, directory: Location | None
) -> Columns:
    """label, blind, caption as JSON, and embedding if there are some, of every picture, in order.

    Args:
      pictures: that were looked at.
      view: what blind features are taken of.
      progress: hears of pictures.
      directory: keeps them in shards, so that a killed run goes on; None keeps nothing.

    Raises:
      InputError: if a picture has changed, or `directory` holds another pool.
    """
    what, total = f"Describing {pictures.source.spec}", len(pictures.source)

    def compute(rows: range, done: Callable[[int], None]) -> Columns:
        return _describe(pictures, view, rows, done)

    if directory is None:
        return compute(range(total), lambda rows: progress(rows, total, what))

    def compute_shard(shard: Shard, done: Callable[[int], None]) -> Columns:
        return compute(shard.rows, done)

    request = {**pictures.request, "view": dataclasses.asdict(view)}
    sizes = {"num_rows": {_SPLIT: total}, "shard_size": _SHARD}
    return filled(directory, _CONTENTS, request, compute_shard, progress, what, run={}, **sizes).read_shards()


def features_of(p: Columns, u: Columns) -> Features:
    """The features of both pools, from `read_pool`; what they are made of is not told which is which.

    Raises:
      InputError: if embeddings differ in width.
    """
    blocks = [(np.concatenate([each["blind"] for each in (p, u)]).astype(np.float64), BLIND_NAMES)]
    kinds, left_out = {"pictures": len(BLIND_NAMES)}, []
    captions = [json.loads(text) for each in (p, u) for text in each["caption"].tolist()]
    if None not in captions:
        blocks.append(wording_features(captions))
        kinds["captions"] = len(blocks[-1][1])
    elif any(text is not None for text in captions):
        left_out.append("captions")
    if "embedding" in p and "embedding" in u:
        found = leading_components(
            np.concatenate([p["embedding"], u["embedding"]]).astype(np.float64), _COMPONENTS
        )
        blocks.append((found, tuple(f"embedding_{k:02d}" for k in range(found.shape[1]))))
        kinds["embeddings"] = found.shape[1]
    labels = np.concatenate([p["label"], u["label"]])
    return Features(
        values=np.hstack([values for values, _ in blocks]),
        names=tuple(name for _, names in blocks for name in names),
        kinds=kinds,
        left_out=tuple(left_out),
        labels=None if (labels == UNKNOWN_LABEL).all() else labels,
    )


def check_labels(*sides: tuple[str, Int[np.ndarray, " _"]]) -> None:
    """Makes sure that both pools give classes to all of their pictures, or none, and share one.

    Raises:
      InputError: otherwise.
    """
    for spec, labels in sides:
        unknown = np.count_nonzero(labels == UNKNOWN_LABEL)
        others = [other for _, other in sides if (other != UNKNOWN_LABEL).any()]
        if unknown and others:
            raise InputError(
                f"{spec} gives no class for {unknown} of {len(labels)} pictures, while others have one: give "
                "one to all of them, or the same to all (?label=0 on both pools)."
            )
    if not np.intersect1d(sides[0][1], sides[1][1]).size:
        said = " and ".join(f"{spec} has {np.unique(labels)[:5].tolist()}" for spec, labels in sides)
        raise InputError(f"The pools have no class in common ({said}); pictures are matched within a class.")


def _describe(pictures: Pictures, view: Preprocessing, rows: range, done: Callable[[int], None]) -> Columns:
    parts: list[Columns] = []
    read = batches(pictures.source, rows, view, _BATCH)
    for batch in pictures.unchanged(read):
        columns: Columns = {
            "label": batch.labels,
            "blind": batch.blind,
            "caption": np.array([json.dumps(text) for text in batch.captions], np.str_),
        }
        if batch.embeddings is not None:
            columns["embedding"] = batch.embeddings.mean(axis=1)
        parts.append(columns)
        done(sum(len(part["label"]) for part in parts))
    return joined(parts)
