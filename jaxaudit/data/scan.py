"""A look at every picture of a source, before an expensive audit.

Axes: N samples, H height, W width.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from jaxaudit.data.conditions import condition_digest
from jaxaudit.data.duplicates import Fingerprints, fingerprint
from jaxaudit.data.images import UnusableImageError, pixel_digest
from jaxaudit.data.preprocessing import Preprocessing, check_size
from jaxaudit.data.source import Source, report_unusable

_CHUNK = 1024  # pictures submitted at once


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """What a look at every picture found.

    Attributes:
      usable: [N] bool, by position in `indices`. skipped: {id: reason} of the others.
      digests: {id: `pixel_digest`} of the usable pictures.
      pixels, labels, conditions: sha256 (hex) over the usable pictures in their order, of their names and
        pixels, of their names and classes, and of what they tell the model (`condition_digest`). Sources in
        which all three agree ask a model the same.
      prints: by which near-duplicates among the usable pictures are found.
      groups: the group that each of these was declared to be of, None for none.
    """

    usable: Bool[np.ndarray, " N"]
    skipped: Mapping[str, str]
    digests: Mapping[str, str]
    pixels: str
    labels: str
    conditions: str
    prints: Fingerprints
    groups: tuple[str | None, ...]

    def keep(self, source: Source) -> Source:
        """The usable pictures of the source that was scanned."""
        return source if self.usable.all() else source.take(np.flatnonzero(self.usable).tolist())


def scan(
    source: Source,
    preprocessing: Preprocessing,
    *,
    indices: Sequence[int] | None = None,
    num_threads: int = 16,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Reads every sample once: are all of them usable, which are the same, what will the model be told?

    With `skip_unreadable`, unusable pictures are listed in `source.skipped`. `progress` is called with
    (pictures seen, all).

    Raises:
      InputError: (without `skip_unreadable`) with the number of unusable pictures and the first few of them;
        or for the first embedding that cannot be used.
    """
    indices = range(len(source)) if indices is None else indices
    usable, digests, unusable = np.ones(len(indices), bool), {}, {}
    pixels, labels, conditions = (hashlib.sha256() for _ in range(3))
    hashes, thumbnails = np.zeros(len(indices), np.uint64), np.zeros((len(indices), 256), np.uint8)
    groups: list[str | None] = []
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(indices), _CHUNK):
            chunk = indices[start : start + _CHUNK]
            for place, outcome in enumerate(
                pool.map(lambda index: _look(source, index, preprocessing), chunk), start
            ):
                if isinstance(outcome, UnusableImageError):
                    usable[place] = False
                    unusable[outcome.sample_id] = outcome.reason
                else:
                    name = source.ids[indices[place]]
                    digests[name] = outcome.pixels
                    of_row = name.encode() + b"\0"
                    pixels.update(of_row + outcome.pixels.encode())
                    labels.update(of_row + b"%d\0" % outcome.label)
                    conditions.update(outcome.condition)
                    hashes[place], thumbnails[place] = outcome.hash, outcome.thumbnail
                    groups.append(outcome.group)
            progress(min(start + _CHUNK, len(indices)), len(indices))
    report_unusable(source, unusable, len(indices))
    return Scan(
        usable,
        unusable,
        digests,
        pixels=pixels.hexdigest(),
        labels=labels.hexdigest(),
        conditions=conditions.hexdigest(),
        prints=Fingerprints(hashes, thumbnails).take(np.flatnonzero(usable)),
        groups=tuple(groups),
    )


class _Looked(NamedTuple):
    pixels: str
    label: int
    condition: bytes
    hash: np.uint64
    thumbnail: UInt8[np.ndarray, " 256"]
    group: str | None


def _look(source: Source, index: int, preprocessing: Preprocessing) -> _Looked | UnusableImageError:
    try:
        sample = source.load(index)
        height, width = sample.image.shape[:2]
        check_size(height, width, preprocessing)
    except UnusableImageError as error:
        return UnusableImageError(error.reason, source.ids[index])
    pixels, condition = pixel_digest(sample.image), condition_digest(sample)
    return _Looked(pixels, sample.label, condition, *fingerprint(sample.image), sample.group)
