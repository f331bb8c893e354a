"""A look at every picture of a source, before an expensive audit.

Axes: N samples, H height, W width.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from jaxaudit.data.conditions import condition_digest
from jaxaudit.data.images import UnusableImageError, pixel_digest
from jaxaudit.data.preprocessing import Preprocessing, check_size
from jaxaudit.data.source import Source, report_unusable

_CHUNK = 1024  # pictures submitted at once


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """What a look at every picture found.

    Attributes:
      usable: [N] bool, by position in `indices`.
      digests: {id: `pixel_digest`} of the usable pictures.
      conditions: sha256 (hex) of what the usable pictures tell the model (`condition_digest`), in order:
        sources with the same one, and the same `fingerprint`, ask the model the same.
    """

    usable: Bool[np.ndarray, " N"]
    digests: Mapping[str, str]
    conditions: str


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
    conditions = hashlib.sha256()
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
                    digests[source.ids[indices[place]]] = outcome.pixels
                    conditions.update(outcome.condition)
            progress(min(start + _CHUNK, len(indices)), len(indices))
    report_unusable(source, unusable, len(indices))
    return Scan(usable, digests, conditions.hexdigest())


class _Digests(NamedTuple):
    pixels: str
    condition: bytes


def _look(source: Source, index: int, preprocessing: Preprocessing) -> _Digests | UnusableImageError:
    try:
        sample = source.load(index)
        height, width = sample.image.shape[:2]
        check_size(height, width, preprocessing)
    except UnusableImageError as error:
        return UnusableImageError(error.reason, source.ids[index])
    return _Digests(pixel_digest(sample.image), condition_digest(sample))
