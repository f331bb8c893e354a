"""How alike different training pictures are: what a similarity to one's own original has to be measured by.

Axes: R reference pictures, B pictures, D features.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.completion import ExtractionAttack
from jaxaudit.attacks.similarity import Similarity
from jaxaudit.audits.extraction.config import DEFAULTS, ExtractionConfig
from jaxaudit.audits.extraction.shards import Columns, base_request, run_shards
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.data import Source, batches
from jaxaudit.evidence import check_finite, joined
from jaxaudit.paths import Location
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True)
class Reference:
    """Training pictures to compare with.

    Attributes:
      sample_ids: [R] str. digests: [R] str, of the decoded pixels.
      features: [R,D] float32 of unit length (`Similarity.embed`).
    """

    sample_ids: np.ndarray
    digests: np.ndarray
    features: Float[np.ndarray, "R D"]

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of which pictures they are."""
        return hashlib.sha256("\0".join((*self.sample_ids, *self.digests)).encode()).hexdigest()

    def nearest(
        self, features: Float[np.ndarray, "B D"], ids: np.ndarray
    ) -> tuple[Float[np.ndarray, " B"], np.ndarray]:
        """For each row of unit `features`, the most similar reference picture but the one of its id.

        Args:
          features: of completions. ids: names of their originals.

        Returns:
          Its similarity [B] float32, and its id [B] str.
        """
        products = features @ self.features.T
        products[np.asarray(ids)[:, None] == self.sample_ids] = -np.inf
        best = products.argmax(1)
        return products[np.arange(len(best)), best].astype(np.float32), self.sample_ids[best]


def embed_reference(
    target: Target,
    source: Source,
    similarity: Similarity,
    config: ExtractionConfig = DEFAULTS,
    *,
    directory: Location | None = None,
    progress: Progress = silent,
) -> Reference:
    """Features of `config.reference_size` pictures of `source`, drawn by a hash of seed and id.

    Args:
      target: whose preprocessing the pictures get.
      source: training pictures.
      similarity: from `jaxaudit.attacks.similarity.get_similarity`.
      config: see `ExtractionConfig`.
      directory: where they are kept, so that a killed run goes on; None keeps nothing.
      progress: hears of pictures of this process.

    Raises:
      InputError: if pictures cannot be used, or `directory` holds another request.
    """
    attack = config.attack(target)
    drawn = source.take(_draw(source, config.reference_size, config.seed))
    pictures = look(drawn, target.preprocessing, progress)
    parts = list(
        run_shards(
            pictures,
            functools.partial(_embed, attack, pictures, similarity, config.placement.batch_size),
            config,
            attack.mesh,
            request={**base_request(target, pictures, config), "similarity": similarity.request},
            directory=directory,
            progress=progress,
            what="Embedding reference pictures",
        )
    )
    columns = joined(parts)
    return Reference(columns["sample_id"], columns["digest"], columns["features"])


def embed_padded(
    similarity: Similarity, images: Float[np.ndarray, "B H W 3"], size: int
) -> Float[np.ndarray, "B D"]:
    """Features of images in [0,1], the batch filled up to `size` rows so that all have one shape."""
    missing = max(0, size - len(images))
    filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    return np.asarray(similarity.embed(filled), np.float32)[: len(images)]


def _embed(
    attack: ExtractionAttack,
    pictures: Pictures,
    similarity: Similarity,
    batch_size: int,
    rows: range,
    done: Callable[[int], None],
) -> Columns:
    ids: list[str] = []
    digests: list[str] = []
    parts = []
    read = batches(pictures.source, rows, attack.target.preprocessing, batch_size)
    for batch in pictures.unchanged(read):
        ids.extend(batch.ids)
        digests.extend(batch.digests)
        parts.append(embed_padded(similarity, attack.to_unit(batch.images), batch_size))
        done(len(ids))
    features = np.concatenate(parts)
    check_finite(f"The {similarity.name} feature", features, ids)
    return {
        "sample_id": np.array(ids, np.str_),
        "digest": np.array(digests, np.str_),
        "features": features,
    }


def _draw(source: Source, count: int, seed: int) -> list[int]:
    """`count` rows, ascending: those whose hash of seed and id is smallest."""
    if count >= len(source):
        return list(range(len(source)))
    keys = [hashlib.sha256(f"{seed}\0reference\0{sample_id}".encode()).digest() for sample_id in source.ids]
    return sorted(sorted(range(len(keys)), key=keys.__getitem__)[:count])
