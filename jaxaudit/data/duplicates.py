"""The same picture on both sides of an audit.

Axes: N, M pictures of two sources, K pairs, H height, W width.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, UInt8, UInt64
from PIL import Image

from jaxaudit.errors import InputError

_BLOCK = 1 << 22  # distances held at once


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
