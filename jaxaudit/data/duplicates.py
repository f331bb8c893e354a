"""The same picture, or nearly, twice.

Two pictures are near-duplicates if at most 8 of the 64 bits of their difference hashes differ and their grey
levels at 16×16 pixels correlate at 0.995 or more: resized, recompressed or brightened copies do, pictures of
like things do not. On small or plain pictures either rule alone says little.

Among millions not all can be compared with all. Of grey levels less their mean, at unit length, a and b,

  |a - b|² = 2 - 2·corr(a, b),                                                                            (1)

so near-duplicates lie within 0.1 of each other, and no further apart in any orthogonal projection. A k-d tree
of their first principal components finds all that do; of these both rules are asked.

Axes: N pictures, K pairs, H height, W width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float64, Int, UInt8, UInt64
from PIL import Image
from scipy.spatial import KDTree

from jaxaudit.errors import InputError

_MOST_BITS, _LEAST_CORRELATION, _THUMBNAIL = 8, 0.995, 16
_RADIUS = np.sqrt(2 - 2 * _LEAST_CORRELATION) + 1e-6  # by (1), and more than rounding takes away
_COMPONENTS = 6
_BLOCK = 2048  # pictures whose neighbours are looked up at once
_CHECKED = 1 << 12  # thumbnails, or pairs of them, held at once as floats


def check_disjoint(members: Mapping[str, str], nonmembers: Mapping[str, str]) -> None:
    """Makes sure that no picture is both a member and a nonmember.

    Args:
      members, nonmembers: {id: digest of the decoded pixels} (`scan`).

    Raises:
      InputError: with the number of shared pictures and an example.
    """
    by_digest = {digest: sample_id for sample_id, digest in members.items()}
    shared = [
        (by_digest[digest], sample_id) for sample_id, digest in nonmembers.items() if digest in by_digest
    ]
    if shared:
        raise InputError(
            f"Members and nonmembers share {len(shared)} pictures with identical pixels, e.g. member "
            f"{shared[0][0]!r} is nonmember {shared[0][1]!r}; a picture can only be one of the two."
        )


def difference_hash(image: UInt8[np.ndarray, "H W 3"]) -> np.uint64:
    """64 bits of a picture: is each of 8x8 grey cells brighter than its right neighbour?

    Few bits change under resizing, recompression or a change of contrast (Krawetz 2013, "dHash").
    """
    return _difference_hash(Image.fromarray(image).convert("L"))


@dataclasses.dataclass(frozen=True, eq=False)
class Fingerprints:
    """What near-duplicates are found by.

    Attributes:
      hashes: [N] uint64, `difference_hash`.
      thumbnails: [N,256] uint8, grey levels at 16×16 pixels.
    """

    hashes: UInt64[np.ndarray, " N"]
    thumbnails: UInt8[np.ndarray, "N 256"]

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, rows: Int[np.ndarray, " M"]) -> Fingerprints:
        """Those of these pictures, in this order; itself if that is all as it stands."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        return Fingerprints(self.hashes[rows], self.thumbnails[rows])


def fingerprint(image: UInt8[np.ndarray, "H W 3"]) -> tuple[np.uint64, UInt8[np.ndarray, " 256"]]:
    """A row of `Fingerprints`: hash and thumbnail."""
    grey = Image.fromarray(image).convert("L")
    thumbnail = grey.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return _difference_hash(grey), np.asarray(thumbnail).ravel()


def near_duplicates(prints: Fingerprints) -> Iterator[Int[np.ndarray, "_ 2"]]:
    """All pairs of near-duplicates, each once, the earlier row first, in blocks of any size.

    Pictures without contrast correlate with nothing; whether they are the same, their pixels tell.
    """
    rows = np.flatnonzero(np.ptp(prints.thumbnails, axis=1))
    if not rows.size:
        return
    points = _projected(prints.thumbnails, rows)
    tree = KDTree(points)
    for start in range(0, len(rows), _BLOCK):
        some = tree.indices[start : start + _BLOCK]  # neighbours of each other
        found = KDTree(points[some]).sparse_distance_matrix(tree, _RADIUS, output_type="ndarray")
        left, right = some[found["i"]], found["j"]
        once = left < right
        pairs = np.stack([rows[left[once]], rows[right[once]]], axis=1)
        differing = np.bitwise_count(prints.hashes[pairs[:, 0]] ^ prints.hashes[pairs[:, 1]])
        pairs = pairs[differing <= _MOST_BITS]
        yield pairs[_alike(prints.thumbnails, pairs)]


def _difference_hash(grey: Image.Image) -> np.uint64:
    cells = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    return np.packbits(cells[:, :-1] > cells[:, 1:]).view(">u8")[0].astype(np.uint64)


def _projected(
    thumbnails: UInt8[np.ndarray, "N 256"], rows: Int[np.ndarray, " M"]
) -> Float64[np.ndarray, "M D"]:
    """Thumbnails of (1) in an orthogonal basis of D dimensions, of their principal components."""
    some = _unit(thumbnails[rows[:: -(-len(rows) // 4096)]])
    basis = np.linalg.eigh(some.T @ some)[1][:, -_COMPONENTS:]  # eigenvalues ascend
    points = np.empty((len(rows), _COMPONENTS))
    for start in range(0, len(rows), _CHECKED):
        points[start : start + _CHECKED] = _unit(thumbnails[rows[start : start + _CHECKED]]) @ basis
    return points


def _unit(thumbnails: UInt8[np.ndarray, "N 256"]) -> Float64[np.ndarray, "N 256"]:
    centred = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def _alike(thumbnails: UInt8[np.ndarray, "N 256"], pairs: Int[np.ndarray, "K 2"]) -> Bool[np.ndarray, " K"]:
    """Whether the grey levels correlate.

    Sums of 256 products of bytes stay below 2^24, so float32 adds them exactly, in any order, on any machine.
    """
    size = thumbnails.shape[1]
    found = [np.zeros(0, bool)]
    for start in range(0, len(pairs), _CHECKED):
        a, b = (thumbnails[rows].astype(np.float32) for rows in pairs[start : start + _CHECKED].T)
        total_a, total_b = (each.sum(axis=1).astype(np.float64) for each in (a, b))

        def covariance(x: np.ndarray, y: np.ndarray, of_x: np.ndarray, of_y: np.ndarray) -> np.ndarray:
            return size * np.einsum("kd,kd->k", x, y).astype(np.float64) - of_x * of_y

        spread = np.sqrt(covariance(a, a, total_a, total_a) * covariance(b, b, total_b, total_b))
        found.append(covariance(a, b, total_a, total_b) >= _LEAST_CORRELATION * spread)
    return np.concatenate(found)
