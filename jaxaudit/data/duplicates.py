"""The same picture, or nearly, twice.

Two pictures are near-duplicates if at most 8 of the 64 bits of their difference hashes differ and their grey
levels at 16×16 pixels correlate at 0.995 or more: resized, recompressed or brightened copies do, pictures of
like things do not. The hash finds candidates among millions; on small or plain pictures it alone says little.

Axes: N, M pictures of two sources, K pairs, H height, W width.
"""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32, Int, UInt8, UInt64
from PIL import Image

from jaxaudit.data.images import UnusableImageError
from jaxaudit.data.source import Source
from jaxaudit.errors import InputError

_BLOCK = 1 << 22  # distances held at once
_MOST_BITS, _LEAST_CORRELATION, _THUMBNAIL = 8, 0.995, 16


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
    cells = np.asarray(Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX))
    return np.packbits(cells[:, :-1] > cells[:, 1:]).view(">u8")[0].astype(np.uint64)


def near_duplicates(
    hashes: UInt64[np.ndarray, " N"], others: UInt64[np.ndarray, " M"], *, max_distance: int
) -> Int[np.ndarray, "K 2"]:
    """All pairs (row of `hashes`, row of `others`) that differ in at most `max_distance` bits, sorted."""
    pairs = [np.empty((0, 2), np.int64)]
    step = max(1, _BLOCK // max(1, len(others)))
    for start in range(0, len(hashes), step):
        distances = np.bitwise_count(hashes[start : start + step, None] ^ others)
        row, other = np.nonzero(distances <= max_distance)
        pairs.append(np.stack([row + start, other], axis=1))
    return np.concatenate(pairs)


@dataclasses.dataclass(frozen=True, eq=False)
class Fingerprints:
    """What near-duplicates are found by.

    Attributes:
      ids: N names.
      hashes: [N] uint64, `difference_hash`.
      thumbnails: [N,256] float32, grey levels at 16×16 pixels less their mean, of unit length; 0 where
        a picture has no contrast.
    """

    ids: tuple[str, ...]
    hashes: UInt64[np.ndarray, " N"]
    thumbnails: Float32[np.ndarray, "N 256"]


def fingerprints(source: Source, *, num_threads: int = 16) -> Fingerprints:
    """The fingerprints of every picture of a source that can be read (`scan` reports the others).

    Raises:
      InputError: if none can be read.
    """

    def read(index: int) -> tuple[str, np.uint64, np.ndarray] | None:
        try:
            return source.ids[index], *_fingerprint(source.load(index).image)
        except UnusableImageError:
            return None

    with ThreadPoolExecutor(num_threads) as pool:
        found = [each for each in pool.map(read, range(len(source))) if each is not None]
    if not found:
        raise InputError(f"{source.spec} holds no picture that can be used.")
    ids, hashes, thumbnails = zip(*found, strict=True)
    return Fingerprints(ids, np.array(hashes, np.uint64), np.stack(thumbnails))


def near_duplicate_ids(prints: Fingerprints, others: Fingerprints | None = None) -> list[tuple[str, str]]:
    """Pairs of ids of near-duplicates: one of each, or without `others` pairs within one, each pair once."""
    right = prints if others is None else others
    pairs = near_duplicates(prints.hashes, right.hashes, max_distance=_MOST_BITS)
    if others is None:
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    correlation = np.einsum("kd,kd->k", prints.thumbnails[pairs[:, 0]], right.thumbnails[pairs[:, 1]])
    return [(prints.ids[i], right.ids[j]) for i, j in pairs[correlation >= _LEAST_CORRELATION]]


def _fingerprint(image: UInt8[np.ndarray, "H W 3"]) -> tuple[np.uint64, Float32[np.ndarray, " 256"]]:
    grey = Image.fromarray(image).convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    levels = np.asarray(grey, np.float32).ravel()
    levels -= levels.mean()
    length = np.linalg.norm(levels)
    return difference_hash(image), levels / length if length > 0 else levels
