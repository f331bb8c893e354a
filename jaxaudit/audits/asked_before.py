"""Who asks again brings new pictures: neither those of an earlier question nor altered copies of them.

What copies are recognised by stands in the answer itself, under the fingerprint of its question, since the
pictures of earlier questions need not be at hand any more.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable

import numpy as np

from jaxaudit.audits.pictures import Pictures
from jaxaudit.data import Fingerprints, Seen, find_clusters
from jaxaudit.errors import InputError
from jaxaudit.results import Question

_BYTES = 8 + 256  # of a hash and a thumbnail


def looks_of(sides: Iterable[Pictures]) -> tuple[tuple[str, ...], str]:
    """The digests of all pictures, sorted, and `Question.looks` of them."""
    found: dict[str, bytes] = {}
    for each in sides:
        seen = each.seen
        hashes = seen.prints.hashes.astype("<u8")
        for digest, one, thumbnail in zip(seen.digests, hashes, seen.prints.thumbnails, strict=True):
            found[digest] = one.tobytes() + thumbnail.tobytes()
    digests = tuple(sorted(found))
    packed = zlib.compress(b"".join(found[digest] for digest in digests), 9)
    return digests, base64.b64encode(packed).decode()


def check_new(sides: Iterable[Pictures], questions: Iterable[Question]) -> None:
    """Makes sure that no picture of the sides, nor an altered copy of it, was asked about before.

    Raises:
      InputError: with their number and the first, or if an earlier answer does not say what its pictures
        look like.
    """
    sides = list(sides)
    for number, question in enumerate(questions, 1):
        before, again = _seen(number, question), []
        for each in sides:
            clusters, _ = find_clusters(each.seen, before)
            again += [name for name, of in zip(each.source.ids, clusters.copy_of, strict=True) if of]
        if again:
            raise InputError(
                f"{len(again)} pictures ({again[0]!r}{', ...' if len(again) > 1 else ''}), or altered copies "
                f"of them, were asked about before, in question {number}; who asks again must bring new "
                "pictures, published and unpublished, so that the error stays at alpha."
            )


def _seen(number: int, question: Question) -> Seen:
    count = len(question.pictures)
    if not question.looks:
        raise InputError(
            f"Question {number} of the earlier answer does not say what altered copies of its pictures are "
            "recognised by, as those of earlier versions do not; run what wrote it again, which scores no "
            "picture anew."
        )
    try:
        rows = np.frombuffer(zlib.decompress(base64.b64decode(question.looks, validate=True)), np.uint8)
        rows = rows.reshape(count, _BYTES)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise InputError(f"Question {number} of the earlier answer is damaged: {error}.") from error
    hashes = np.ascontiguousarray(rows[:, :8]).view("<u8").reshape(count).astype(np.uint64)
    prints = Fingerprints(hashes, np.ascontiguousarray(rows[:, 8:]))
    return Seen(question.pictures, question.pictures, prints, [None] * count)
