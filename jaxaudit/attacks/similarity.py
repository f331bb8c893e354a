"""How alike two pictures are, and from where on one counts as a copy of the other.

    similarity(a, b) = ⟨f(a), f(b)⟩,   ‖f(·)‖ = 1                                                       (1)

    pixels  f = the grey levels at 8×8 pixels minus their mean, normalised: (1) is Pearson's correlation
    sscd    f = the SSCD descriptor of the picture, stretched to 320×320 pixels by antialiased bilinear
            interpolation, as Kowalczuk et al. 2025 compare extracted pictures (the DISC benchmark of Pizzi
            et al. 2022 brings the short side to 288 pixels instead)

A threshold means something only beside the similarity of pictures that are no copies: `nearest_other` gives,
for each picture, that of the most similar other one.

Source: Carlini et al., "Extracting training data from diffusion models", 2023, section 4.

Axes: B, N, M pictures, H height, W width, D features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxaudit.errors import InputError, unknown_name
from jaxaudit.feature_extractors import Extractor, pixels

_BLOCK = 1024  # rows and columns of the similarities held at once
_NO_CONTRAST = 1e-4  # one grey level of 255 in one of 64 pixels is 4e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Similarity:
    """A measure of similarity and its threshold.

    Attributes:
      name: "pixels" or "sscd".
      threshold: similarities from here on, inclusive, count as a copy.
      meaning: what the threshold stands for, one sentence for reports.
      fingerprint: of the extractor behind it; measures with the same name and fingerprint are the same.
      embed: images [B,H,W,3] float32 in [0,1] -> [B,D] float32 of unit length (zero for a picture without
        contrast, which is similar to nothing). Raises InputError for other shapes or ranges.
    """

    name: str
    threshold: float
    meaning: str
    fingerprint: str
    embed: Callable[[Float[Array | np.ndarray, "B H W 3"]], Float[np.ndarray, "B D"]]

    @property
    def request(self) -> dict[str, str]:
        """Which measure it is, JSON-able: what similarities depend on beside the pictures."""
        return {"name": self.name, "fingerprint": self.fingerprint}


_THRESHOLDS = {
    "pixels": (
        0.99,
        "Correlation of the grey levels at 8x8 pixels; none of the built-in digits' nonmembers has a member "
        "at 0.99 or above, and 0.2% of the members have another member there.",
    ),
    "sscd": (
        0.75,
        "Cosine of SSCD descriptors; pairs above 0.75 are copies with 90% precision on the DISC benchmark "
        "(sscd_disc_mixup).",
    ),
}


def get_similarity(name: str = "pixels", extractor: Extractor | None = None) -> Similarity:
    """The similarity of that name.

    Args:
      name: "pixels", for the built-in digits, or "sscd" (threshold of Pizzi et al. 2022, used for extraction
        by Wen et al. 2024 and Kowalczuk et al. 2025).
      extractor: of that kind, from `jaxaudit.feature_extractors.load_extractor`; "pixels" needs none.

    Raises:
      InputError: if there is no such similarity, or the extractor is missing or of another kind.
    """
    if name not in _THRESHOLDS:
        raise unknown_name("similarity", name, _THRESHOLDS)
    if extractor is None and name == "pixels":
        extractor = pixels()
    if extractor is None:
        raise InputError(
            f"The similarity {name!r} needs an extractor with weights: convert them with "
            f"`python -m checkpoints_convert --family={name}` and pass load_extractor(FILE)."
        )
    if extractor.kind != name:
        raise InputError(f"The similarity {name!r} does not take the features of {extractor.kind!r}.")
    threshold, meaning = _THRESHOLDS[name]

    def embed(images: Float[Array | np.ndarray, "B H W 3"]) -> Float[np.ndarray, "B D"]:
        features = extractor(images)
        if name == "pixels":
            features = features - features.mean(-1, keepdims=True)
        return np.asarray(_unit(features))

    return Similarity(name, threshold, meaning, extractor.fingerprint, embed)


def pairwise(
    a_features: Float[Array | np.ndarray, "B D"], b_features: Float[Array | np.ndarray, "B D"]
) -> Float[np.ndarray, " B"]:
    """The similarity (1) of each row of a to the same row of b, [B] float32 in [-1,1], higher = more alike.

    Raises:
      InputError: if the shapes differ.
    """
    a, b = np.asarray(a_features, np.float32), np.asarray(b_features, np.float32)
    if a.ndim != 2 or a.shape != b.shape:
        raise InputError(f"Features of shapes {a.shape} and {b.shape} do not fit; expected [B,D] twice.")
    return (a * b).sum(-1)


def nearest_other(
    features: Float[Array | np.ndarray, "N D"], others: Float[Array | np.ndarray, "M D"] | None = None
) -> Float[np.ndarray, " N"]:
    """For each row, the similarity (1) to the most similar other: [N] float32 in [-1,1].

    Computed in blocks: N·M products, memory for N + M rows.

    Args:
      features: of unit length (`Similarity.embed`).
      others: what is searched; default the other rows of `features`, each row itself left out (but not its
        exact copies in other rows).

    Raises:
      InputError: if the shapes do not fit or there is no other row.
    """
    rows = np.asarray(features, np.float32)
    columns = rows if others is None else np.asarray(others, np.float32)
    if rows.ndim != 2 or columns.ndim != 2 or rows.shape[1] != columns.shape[1]:
        raise InputError(f"Features of shapes {rows.shape} and {columns.shape} do not fit; expected [N,D].")
    if len(columns) < (2 if others is None else 1):
        raise InputError(f"No other picture to compare with among {len(columns)}.")
    nearest = np.empty(len(rows), np.float32)
    blocks = [(j, jnp.asarray(_padded(columns[j : j + _BLOCK]))) for j in range(0, len(columns), _BLOCK)]
    for i in range(0, len(rows), _BLOCK):
        block, best = _padded(rows[i : i + _BLOCK]), jnp.full(_BLOCK, -jnp.inf, jnp.float32)
        for j, column_block in blocks:
            itself = i - j if others is None else 2 * _BLOCK  # which no column has
            best = jnp.maximum(best, _block_nearest(block, column_block, len(columns) - j, itself))
        nearest[i : i + _BLOCK] = best[: len(rows) - i]
    return nearest


@jax.jit
def _block_nearest(
    rows: Float[Array, "b D"],
    columns: Float[Array, "b D"],
    count: ArrayLike,
    offset: ArrayLike,
) -> Float[Array, " b"]:
    """The largest product of each row with the first `count` columns, but for column row + `offset`."""
    products = jnp.matmul(rows, columns.T, precision=jax.lax.Precision.HIGHEST)
    row, column = jnp.indices(products.shape)
    return jnp.where((column < count) & (column != row + offset), products, -jnp.inf).max(1)


def _padded(block: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "b D"]:
    return np.pad(block, ((0, _BLOCK - len(block)), (0, 0)))


def _unit(x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    norm = jnp.sqrt(jnp.square(x).sum(-1, keepdims=True))
    return x / jnp.where(norm > _NO_CONTRAST, norm, jnp.inf)
