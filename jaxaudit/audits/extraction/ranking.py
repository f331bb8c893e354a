"""Every picture of a source gets a candidate score; the best of each class are kept, in one streaming pass.

Axes: N pictures.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.attacks.completion import ExtractionAttack, check_score
from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.extraction.config import DEFAULTS, ExtractionConfig
from jaxaudit.audits.extraction.shards import Columns, base_request, run_shards
from jaxaudit.audits.one_pass import one_pass
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.data import PictureBatch, Source, check_disjoint
from jaxaudit.evidence import check_finite, joined
from jaxaudit.paths import Location
from jaxaudit.runtime.parallel import Pending
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Given, Target

_NOT_SCORES = ("sample_id", "label", "digest")


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The best ranked pictures, sorted by class, then score from high to low, then sample id.

    Attributes:
      sample_ids: [N] str. labels: [N] int32. digests: [N] str, of the decoded pixels.
      scores: {candidate score: [N] float32}, higher = more memorised.
      score: the one they are ranked by.
      num_ranked: pictures that were ranked.
    """

    sample_ids: np.ndarray
    labels: Int[np.ndarray, " N"]
    digests: np.ndarray
    scores: dict[str, Float[np.ndarray, " N"]]
    score: str
    num_ranked: int

    def __len__(self) -> int:
        return len(self.sample_ids)


def best_per_class(
    labels: Int[np.ndarray, " N"], scores: Float[np.ndarray, " N"], ids: np.ndarray, k: int
) -> Int[np.ndarray, " M"]:
    """Rows of the `k` highest scores of each class (all, if k = 0): by class, then score, then id.

    Of pictures with the same score, the one whose id comes first in the alphabet is better, so the choice
    depends neither on the order of the rows nor on how they come in parts.
    """
    rows = np.lexsort((ids, -scores, labels))
    if k == 0 or not rows.size:
        return rows
    sorted_labels = labels[rows]
    place = np.arange(len(rows)) - np.searchsorted(sorted_labels, sorted_labels)
    return rows[place < k]


def rank_candidates(
    target: Target,
    source: Source,
    config: ExtractionConfig = DEFAULTS,
    *,
    directory: Location | None = None,
    progress: Progress = silent,
    exclude: Mapping[str, str] = MappingProxyType({}),
) -> Candidates:
    """Ranks every picture of `source` by how well the model predicts it, and keeps `config.top_k` per class.

    Memory holds one shard and the pictures kept.

    Args:
      target: what is attacked.
      source: candidates; their labels or captions are what the model is told. Without labels all are of one
        class.
      config: see `ExtractionConfig`.
      directory: where the scores of all pictures are kept, so that a killed run goes on; None keeps nothing.
      progress: hears of pictures of this process.
      exclude: {id: digest} of pictures that must not be among them.

    Raises:
      InputError: if the target or score does not fit, labels do not mean the target's classes, captions are
        missing, pictures cannot be used or are excluded, a score is not finite, or `directory` holds another
        request.
    """
    attack = config.attack(target)
    score = config.score or attack.scores[0]
    check_score(score, attack.scores)
    pictures = look(resolve_condition(source, target), target.preprocessing, progress)
    check_disjoint(pictures.digests, exclude)
    request = {**base_request(target, pictures, config), "scores": list(attack.scores)}
    kept: Columns = {}
    num_ranked = 0
    for columns in run_shards(
        pictures,
        functools.partial(_rank, attack, pictures, config.placement.batch_size),
        config,
        attack.mesh,
        request=request,
        directory=directory,
        progress=progress,
        what="Ranking",
    ):
        num_ranked += len(columns["sample_id"])
        so_far = joined([kept, columns]) if kept else columns
        best = best_per_class(so_far["label"], so_far[score], so_far["sample_id"], config.top_k)
        kept = {name: values[best] for name, values in so_far.items()}
    scores = {name: values for name, values in kept.items() if name not in _NOT_SCORES}
    return Candidates(kept["sample_id"], kept["label"], kept["digest"], scores, score, num_ranked)


def _rank(
    attack: ExtractionAttack, pictures: Pictures, batch_size: int, rows: range, done: Callable[[int], None]
) -> Columns:
    """The columns of some rows."""

    def submit(batch: PictureBatch, told: Given) -> Pending:
        return attack.rank(batch.images, told, ids=batch.ids, padded_size=batch_size)

    passed = one_pass(attack.target, pictures, rows, submit, batch_size, done)
    scores = joined(passed.found)
    for name, values in scores.items():
        check_finite(f"The candidate score {name}", values, passed.ids)
    return {
        "sample_id": np.array(passed.ids, np.str_),
        "label": passed.labels,
        "digest": np.array(passed.digests, np.str_),
        **scores,
    }
