"""What a target says of the pictures, one way of asking at a time, kept in a folder each.

    FOLDER/evidence/              scores of members and nonmembers
    FOLDER/greedy/, sampling/     log p of every image, of discrete tokens
    FOLDER/drawn/                 features of drawn pictures

Each belongs to a request of its own (`jaxaudit.evidence.claim`), so a killed run goes on, and another one is
refused.

Axes: n members, m nonmembers, N drawn pictures, D features.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.completion import DiscreteExtraction, default_prefixes
from jaxaudit.attacks.condition import condition_of
from jaxaudit.attacks.drawing import Drawing
from jaxaudit.attacks.regeneration import PLAIN, RegenerationAttack, Sampling
from jaxaudit.audits.collect import Preparation
from jaxaudit.audits.extraction import ExtractionConfig, image_probabilities
from jaxaudit.audits.pictures import Pictures
from jaxaudit.audits.request import measurement_request
from jaxaudit.data import batches, to_unit
from jaxaudit.evidence import SPLITS, Contents, claim, read_arrays, write_arrays
from jaxaudit.feature_extractors import Extractor
from jaxaudit.paths import Place
from jaxaudit.runtime.progress import Progress
from jaxaudit.stats.adaptive import View
from jaxaudit.stats.adaptive_extraction import LogP
from jaxaudit.targets import Target
from jaxaudit_kernels.sampling_law import Sampler

_DRAWN = Contents("features of drawn pictures")
_FILE = "features.npz"
GREEDY = Sampling(Sampler(top_k=1))
"""The most likely token is drawn, and nothing else."""


def view(prepared: Preparation, target: Target, folder: Place, progress: Progress) -> View:
    """The scores of members and nonmembers."""
    evidence = prepared.asked_of(target).score(folder / "evidence", progress=progress)
    members, nonmembers = (evidence.read(split).scores for split in SPLITS)
    return View(members, nonmembers)


def log_p(prepared: Preparation, target: Target, folder: Place, progress: Progress, *, greedy: bool) -> LogP:
    """log p of members and nonmembers after the default prefix, from the sampler, or greedily."""
    config = prepared.config
    (*_, prefix) = default_prefixes(target.tokens_per_step, DiscreteExtraction.prefix_tokens)
    placement = config.placement
    attack = RegenerationAttack(
        target,
        GREEDY if greedy else PLAIN,
        mesh=placement.mesh(target.params, target.partition),
        parallelism=placement.parallelism,
    )
    asked = ExtractionConfig(seed=config.seed, placement=placement, shard_size=config.shard_size)
    sampler = "greedy" if greedy else "sampling"

    def of(split: str) -> Float[np.ndarray, " _"]:
        def tell(done: int, total: int, what: str, note: str = "") -> None:
            progress(done, total, f"{what} ({sampler}, {split})", note)

        pictures, kept = prepared.pictures[split], folder / sampler / split
        found = image_probabilities(attack, pictures, (prefix,), asked, directory=kept, progress=tell)
        return found.log_p[prefix]

    members, nonmembers = map(of, SPLITS)
    return members, nonmembers


@dataclasses.dataclass(frozen=True, eq=False)
class Told:
    """Pictures of a side that are held beside drawn ones: what they are conditioned on, and their features.

    Attributes:
      pictures: the whole side. rows: which of them.
      labels: [N] classes. features: [N,D].
    """

    pictures: Pictures
    rows: np.ndarray
    labels: np.ndarray
    features: Float[np.ndarray, "N D"]


def told(pictures: Pictures, rows: np.ndarray, target: Target, extractor: Extractor, batch_size: int) -> Told:
    """Reads them."""
    labels, features = [], []
    for batch in pictures.unchanged(
        batches(pictures.source, rows.tolist(), target.preprocessing, batch_size)
    ):
        labels.append(batch.labels)
        features.append(np.asarray(extractor(to_unit(batch.images, target.preprocessing))))
    return Told(pictures, rows, np.concatenate(labels), np.concatenate(features))


def drawn_features(
    target: Target,
    beside: Told,
    folder: Place,
    extractor: Extractor,
    *,
    seed: int,
    batch_size: int,
    progress: Progress,
) -> Float[np.ndarray, "N D"]:
    """Features of drawn pictures, one conditioned as each of those they are held beside."""
    request: dict[str, Any] = {
        **measurement_request(target, seed),
        **beside.pictures.request,
        "rows": beside.rows.tolist(),
        "extractor": extractor.fingerprint,
    }
    claim(folder / "drawn", _DRAWN, request)
    path = folder / "drawn" / _FILE
    if path.exists():
        return read_arrays(path)["features"]
    drawing, found = Drawing(target, seed=seed), []
    read = batches(beside.pictures.source, beside.rows.tolist(), target.preprocessing, batch_size)
    for batch in beside.pictures.unchanged(read):
        images = drawing.submit(condition_of(target, batch), ids=batch.ids, padded_size=batch_size).result()
        found.append(np.asarray(extractor(to_unit(images, target.preprocessing))))
        progress(sum(map(len, found)), len(beside.rows), "Drawing pictures")
    features = np.concatenate(found)
    write_arrays(path, {"features": features})
    return features
