"""Candidates are completed from prefixes and compared with their originals.

Axes: N candidates, P prefixes, D features, H and W pixels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.completion import ExtractionAttack, check_prefixes
from jaxaudit.attacks.condition import condition_of, resolve_condition
from jaxaudit.attacks.similarity import Similarity, pairwise
from jaxaudit.audits.extraction.config import DEFAULTS, ExtractionConfig
from jaxaudit.audits.extraction.ranking import Candidates
from jaxaudit.audits.extraction.reference import Reference, embed_padded
from jaxaudit.audits.extraction.shards import Columns, base_request, run_shards
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.data import Source, batches
from jaxaudit.errors import InputError
from jaxaudit.evidence import check_finite, joined
from jaxaudit.paths import Location
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True)
class Completions:
    """What became of the candidates, in their order.

    Attributes:
      candidates: what was completed.
      prefixes: generation steps that were kept.
      similarity: [N,P] float32, of the completion to its own original.
      nearest_other: [N,P] float32, of the completion to the most similar reference picture that is not its
        original.
      nearest_ids: [N,P] str, that picture.
      features: [N,D] float32 of the originals.
    """

    candidates: Candidates
    prefixes: tuple[int, ...]
    similarity: Float[np.ndarray, "N P"]
    nearest_other: Float[np.ndarray, "N P"]
    nearest_ids: np.ndarray
    features: Float[np.ndarray, "N D"]

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def by_id(self) -> dict[str, Float[np.ndarray, " P"]]:
        """{id: similarities} of the candidates."""
        return dict(zip(self.candidates.sample_ids.tolist(), self.similarity, strict=True))


def complete_candidates(
    target: Target,
    source: Source,
    candidates: Candidates,
    similarity: Similarity,
    reference: Reference,
    config: ExtractionConfig = DEFAULTS,
    *,
    directory: Location | None = None,
    progress: Progress = silent,
) -> Completions:
    """Completes every candidate from every prefix; a picture is encoded once for all of them.

    Args:
      target: what is attacked.
      source: what the candidates were ranked from.
      candidates: from `rank_candidates`.
      similarity: from `jaxaudit.attacks.similarity.get_similarity`; it sees the original picture, cropped and
        resized for the target, not its reconstruction.
      reference: from `embed_reference`.
      config: see `ExtractionConfig`.
      directory: where results are kept, so that a killed run goes on; None keeps nothing.
      progress: hears of pictures of this process.

    Raises:
      InputError: if a prefix does not fit, or `directory` holds another request.
    """
    attack = config.attack(target)
    prefixes = tuple(sorted(set(config.prefixes))) or attack.prefixes
    check_prefixes(prefixes, target.tokens_per_step)
    chosen = look(
        _take(resolve_condition(source, target), candidates.sample_ids), target.preprocessing, progress
    )
    request = {
        **base_request(target, chosen, config),
        "prefixes": list(prefixes),
        "similarity": similarity.request,
        "reference_sha256": reference.fingerprint,
    }
    compute = functools.partial(
        _complete, attack, chosen, prefixes, similarity, reference, config.placement.batch_size
    )
    where = {"directory": directory, "progress": progress, "what": "Completing"}
    parts = list(run_shards(chosen, compute, config, attack.mesh, request=request, **where))
    table = joined(parts)
    if list(table["sample_id"]) != list(candidates.sample_ids):
        raise InputError(
            f"{source.spec} has changed since its pictures were ranked; start with another --out."
        )

    def columns(name: str) -> np.ndarray:
        return np.stack([table[f"{name}/{prefix}"] for prefix in prefixes], axis=1)

    return Completions(
        candidates,
        prefixes,
        columns("similarity"),
        columns("nearest"),
        columns("nearest_id"),
        table["features"],
    )


def complete_images(
    target: Target,
    source: Source,
    sample_ids: Sequence[str],
    prefix: int,
    config: ExtractionConfig = DEFAULTS,
) -> tuple[Float[np.ndarray, "N H W 3"], Float[np.ndarray, "N H W 3"]]:
    """The pictures of `source` with these ids and their completions from `prefix` steps, float32 in [0,1].

    Raises:
      InputError: if an id is not in `source`, or the prefix does not fit.
    """
    attack, originals, completions = config.attack(target), [], []
    chosen = _take(resolve_condition(source, target), sample_ids)
    for batch in batches(chosen, range(len(chosen)), target.preprocessing, config.placement.batch_size):
        tokens = attack.encode(batch.images, padded_size=config.placement.batch_size).result()
        completed = attack.complete(
            tokens,
            condition_of(target, batch),
            prefix,
            ids=batch.ids,
            padded_size=config.placement.batch_size,
        )
        originals.append(attack.to_unit(batch.images))
        completions.append(attack.to_unit(completed.result()))
    return np.concatenate(originals), np.concatenate(completions)


def _take(source: Source, sample_ids: Sequence[str] | np.ndarray) -> Source:
    wanted = set(map(str, sample_ids))
    rows = {sample_id: row for row, sample_id in enumerate(source.ids) if sample_id in wanted}
    if missing := wanted - rows.keys():
        raise InputError(f"{source.spec} holds no picture {min(missing)!r}.")
    return source.take([rows[str(sample_id)] for sample_id in sample_ids])


def _complete(
    attack: ExtractionAttack,
    pictures: Pictures,
    prefixes: Sequence[int],
    similarity: Similarity,
    reference: Reference,
    batch_size: int,
    rows: range,
    done: Callable[[int], None],
) -> Columns:
    """The columns of some rows; all prefixes of a batch are in flight while its originals are embedded."""
    parts: list[Columns] = []
    read = batches(pictures.source, rows, attack.target.preprocessing, batch_size)
    for batch in pictures.unchanged(read):
        tokens = attack.encode(batch.images, padded_size=batch_size).result()
        condition = condition_of(attack.target, batch)
        pending = {
            prefix: attack.complete(tokens, condition, prefix, ids=batch.ids, padded_size=batch_size)
            for prefix in prefixes
        }
        ids = np.array(batch.ids, np.str_)
        features = embed_padded(similarity, attack.to_unit(batch.images), batch_size)
        check_finite(f"The {similarity.name} feature", features, ids)
        columns: Columns = {"sample_id": ids, "label": batch.labels, "features": features}
        for prefix, images in pending.items():
            completed = embed_padded(similarity, attack.to_unit(images.result()), batch_size)
            check_finite(f"The {similarity.name} feature of a completion", completed, ids)
            columns[f"similarity/{prefix}"] = pairwise(completed, features)
            columns[f"nearest/{prefix}"], columns[f"nearest_id/{prefix}"] = reference.nearest(completed, ids)
        parts.append(columns)
        done(sum(len(part["sample_id"]) for part in parts))
    return joined(parts)
