"""Every picture of a source gets a candidate score; the best of each class are kept, in one streaming pass.

Axes: N pictures.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
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

_DRAW = "draw"
_NOT_SCORES = ("sample_id", "label", "digest", _DRAW)


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

    def take(self, rows: Int[np.ndarray, " M"]) -> Candidates:
        """These rows, in this order."""
        scores = {name: values[rows] for name, values in self.scores.items()}
        taken = self.sample_ids[rows], self.labels[rows], self.digests[rows]
        return Candidates(*taken, scores, self.score, self.num_ranked)


def draws(ids: Iterable[str], seed: int) -> Float[np.ndarray, " N"]:
    """A number in [0, 1) for each picture, by a hash of seed and id: those with the smallest are drawn."""
    hashes = (hashlib.sha256(f"{seed}\0drawn\0{sample_id}".encode()).digest()[:6] for sample_id in ids)
    return np.array([int.from_bytes(each) for each in hashes], np.float64) / 2.0**48


def best_per_class(
    labels: Int[np.ndarray, " N"],
    scores: Float[np.ndarray, " N"],
    ids: np.ndarray,
    k: int | Mapping[int, int],
) -> Int[np.ndarray, " M"]:
    """Rows of the `k` highest scores of each class (all, if k = 0): by class, then score, then id.

    With {class: k} as many of each as it says, none of a class that it lacks.

    Of pictures with the same score, the one whose id comes first in the alphabet is better, so the choice
    depends neither on the order of the rows nor on how they come in parts.
    """
    rows = np.lexsort((ids, -scores, labels))
    if k == 0 or not rows.size:
        return rows
    sorted_labels = labels[rows]
    place = np.arange(len(rows)) - np.searchsorted(sorted_labels, sorted_labels)
    if isinstance(k, int):
        return rows[place < k]
    classes, of_class = np.unique(sorted_labels, return_inverse=True)
    return rows[place < np.array([k.get(label, 0) for label in classes.tolist()])[of_class]]


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
    pictures = look(resolve_condition(source, target), target.preprocessing, progress)
    check_disjoint(pictures.digests, exclude)
    best, _ = rank_pictures(target, pictures, config, directory=directory, progress=progress)
    return best


def rank_pictures(
    target: Target,
    pictures: Pictures,
    config: ExtractionConfig = DEFAULTS,
    *,
    directory: Location | None = None,
    progress: Progress = silent,
    independent: Collection[str] = (),
    most: int | Mapping[int, int] = 0,
) -> tuple[Candidates, Candidates]:
    """`rank_candidates` of pictures that were looked at, and a random sample of them.

    Args:
      target, config, directory, progress: as there.
      pictures: with conditions resolved for the target.
      independent: ids of which the sample is drawn, by `draws`.
      most: pictures of each class in the sample, 0 for all; or {class: number}.

    Returns:
      the best of each class, and the sample.

    Raises:
      InputError: as there.
    """
    attack = config.attack(target)
    score = config.score or attack.scores[0]
    check_score(score, attack.scores)
    request = {**base_request(target, pictures, config), "scores": list(attack.scores)}
    independent = frozenset(independent)
    kept: Columns = {}
    drawn: Columns = {}
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
        kept = _best(kept, columns, score, config.top_k)
        own = np.array([name in independent for name in columns["sample_id"].tolist()])
        columns = {name: values[own] for name, values in columns.items()}
        columns[_DRAW] = -draws(columns["sample_id"].tolist(), config.seed)
        drawn = _best(drawn, columns, _DRAW, most)
    best, sample = (_candidates(each, score, num_ranked) for each in (kept, drawn))
    return best, sample


def _best(so_far: Columns, columns: Columns, by: str, k: int | Mapping[int, int]) -> Columns:
    """The best of each class of what was kept so far and of more rows."""
    every = joined([so_far, columns]) if so_far else columns
    rows = best_per_class(every["label"], every[by], every["sample_id"], k)
    return {name: values[rows] for name, values in every.items()}


def _candidates(kept: Columns, score: str, num_ranked: int) -> Candidates:
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
