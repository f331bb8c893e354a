"""Pictures in a given order, read and prepared ahead by threads.

Axes: B samples of a batch, H height, W width, S image_size, K blind features.

Decoding, resizing and hashing release the interpreter lock, so threads are enough and nothing is copied
between processes.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from jaxaudit.data.blind import BLIND_NAMES, blind_features
from jaxaudit.data.images import UnusableImageError
from jaxaudit.data.preprocessing import Preprocessing, check_size, resize_crop, to_range
from jaxaudit.data.source import Source
from jaxaudit.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Prepared samples.

    Attributes:
      ids: B names.
      labels: [B] int32.
      images: [B,S,S,3] float32 in the target's range.
      blind: [B,K] float32, `blind_features`.
      digests: B `pixel_digest`s.
    """

    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " B"]
    images: Float32[np.ndarray, "B S S 3"]
    blind: Float32[np.ndarray, "B K"]
    digests: tuple[str, ...]


def batches(
    source: Source,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    batch_size: int,
    *,
    num_threads: int = 16,
    prefetch: int = 2,
) -> Iterator[Batch]:
    """Yields the samples `indices` of a source in their order, ready for a target.

    Batch k holds what is usable among indices[k·batch_size : (k+1)·batch_size], so every run has the same
    batches; the last one may be short, and so may (even empty) one from which pictures were skipped.

    Args:
      source: where to read from; with `skip_unreadable`, unusable pictures are listed in its `skipped`.
      indices: which samples, in which order; `range(i, len(source), n)` for process i of n.
      preprocessing: the target's.
      batch_size: B.
      num_threads: threads that read and prepare.
      prefetch: batches prepared ahead of the one in use.

    Raises:
      InputError: for pictures that cannot be read or are too small (without `skip_unreadable`), naming those
        of the batch; `scan` finds all of them beforehand. Any other exception of a thread comes out as it is.
    """
    if batch_size < 1 or num_threads < 1 or prefetch < 0:
        raise InputError(
            f"batch_size={batch_size}, num_threads={num_threads}, prefetch={prefetch}: the first two must be "
            "at least 1, the last at least 0."
        )
    return _batches(source, indices, preprocessing, batch_size, num_threads, prefetch)


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """What a look at every picture found.

    Attributes:
      usable: [N] bool, by position in `indices`.
      digests: {id: `pixel_digest`} of the usable pictures.
    """

    usable: np.ndarray
    digests: Mapping[str, str]


def scan(
    source: Source,
    preprocessing: Preprocessing,
    *,
    indices: Sequence[int] | None = None,
    num_threads: int = 16,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Reads every picture once, before an expensive audit: are all of them usable, and which are the same?

    With `skip_unreadable`, unusable pictures are listed in `source.skipped`. `progress` is called with
    (pictures seen, all).

    Raises:
      InputError: (without `skip_unreadable`) with the number of unusable pictures and the first few of them.
    """
    indices = range(len(source)) if indices is None else indices
    usable, digests, unusable = np.ones(len(indices), bool), {}, {}
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(indices), _SCAN_CHUNK):
            chunk = indices[start : start + _SCAN_CHUNK]
            for place, outcome in enumerate(
                pool.map(lambda index: _look(source, index, preprocessing), chunk), start
            ):
                if isinstance(outcome, UnusableImageError):
                    usable[place] = False
                    unusable[outcome.sample_id] = outcome.reason
                else:
                    digests[source.ids[indices[place]]] = outcome
            progress(min(start + _SCAN_CHUNK, len(indices)), len(indices))
    _report(source, unusable, len(indices))
    return Scan(usable, digests)


def pixel_digest(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """sha256 (hex) of a decoded picture's height, width and RGB pixels, before any resize."""
    digest = hashlib.sha256(np.asarray(image.shape, "<u4").tobytes())
    digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()


_SCAN_CHUNK = 1024  # pictures submitted at once


@dataclasses.dataclass(frozen=True, eq=False)
class _Prepared:
    """What is known of one sample beside its image, which is written in place."""

    sample_id: str
    label: int
    blind: np.ndarray
    digest: str


def _batches(
    source: Source,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    batch_size: int,
    num_threads: int,
    prefetch: int,
) -> Iterator[Batch]:
    pending: collections.deque[tuple[np.ndarray, list[Future]]] = collections.deque()
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="jaxaudit-read")
    try:
        for start in range(0, len(indices), batch_size):
            chunk = indices[start : start + batch_size]
            images = np.empty((len(chunk), preprocessing.image_size, preprocessing.image_size, 3), np.float32)
            futures = [
                pool.submit(_prepare, source, index, preprocessing, images[row])
                for row, index in enumerate(chunk)
            ]
            pending.append((images, futures))
            if len(pending) > prefetch:
                yield _collect(source, *pending.popleft())
        while pending:
            yield _collect(source, *pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _collect(source: Source, images: np.ndarray, futures: list[Future]) -> Batch:
    outcomes = [future.result() for future in futures]
    usable = [row for row, outcome in enumerate(outcomes) if isinstance(outcome, _Prepared)]
    if len(usable) < len(outcomes):
        unusable = {o.sample_id: o.reason for o in outcomes if isinstance(o, UnusableImageError)}
        _report(source, unusable, len(outcomes))
        images = images[usable]
    rows: list[_Prepared] = [outcomes[row] for row in usable]
    return Batch(
        ids=tuple(row.sample_id for row in rows),
        labels=np.asarray([row.label for row in rows], np.int32),
        images=images,
        blind=np.asarray([row.blind for row in rows], np.float32).reshape(-1, len(BLIND_NAMES)),
        digests=tuple(row.digest for row in rows),
    )


def _prepare(
    source: Source, index: int, preprocessing: Preprocessing, out: np.ndarray
) -> _Prepared | UnusableImageError:
    try:
        sample = source.load(index)
        view = resize_crop(sample.image, preprocessing)
    except UnusableImageError as error:
        return UnusableImageError(error.reason, source.ids[index])
    out[...] = to_range(view, preprocessing)
    return _Prepared(sample.id, sample.label, blind_features(sample.image, view), pixel_digest(sample.image))


def _look(source: Source, index: int, preprocessing: Preprocessing) -> str | UnusableImageError:
    try:
        image = source.load(index).image
        check_size(*image.shape[:2], preprocessing)
    except UnusableImageError as error:
        return UnusableImageError(error.reason, source.ids[index])
    return pixel_digest(image)


def _report(source: Source, unusable: Mapping[str, str], total: int) -> None:
    if source.skip_unreadable:
        source.skipped.update(unusable)
    elif unusable:
        some = "; ".join(f"{sample_id}: {reason}" for sample_id, reason in list(unusable.items())[:3])
        raise InputError(
            f"{len(unusable)} of {total} pictures of {source.spec} cannot be used ({some}"
            f"{'; ...' if len(unusable) > 3 else ''}); repair or remove them, or leave them out with "
            "skip_unreadable."
        )
