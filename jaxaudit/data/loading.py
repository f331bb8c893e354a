"""Pictures in a given order, read and prepared ahead by threads.

Axes: B samples of a batch, H height, W width, S image_size, K blind features, T tokens and D channels of a
caption's embedding.

Decoding, resizing and hashing release the interpreter lock, so threads are enough and nothing is copied
between processes.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32, Int32

from jaxaudit.data.blind import BLIND_NAMES, blind_features
from jaxaudit.data.conditions import condition_digest
from jaxaudit.data.images import UnusableImageError, pixel_digest
from jaxaudit.data.preprocessing import Preprocessing, resize_crop, to_range
from jaxaudit.data.source import NUM_READERS, Source, report_unusable
from jaxaudit.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class PictureBatch:
    """Prepared samples.

    Attributes:
      ids: B names.
      labels: [B] int32, classes.
      images: [B,S,S,3] float32 in the target's range.
      blind: [B,K] float32, `blind_features`.
      digests: B `pixel_digest`s.
      captions: B captions, or None for each that has none.
      embeddings: [B,T,D] float32, of the captions; None if the source has none.
    """

    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " B"]
    images: Float32[np.ndarray, "B S S 3"]
    blind: Float32[np.ndarray, "B K"]
    digests: tuple[str, ...]
    captions: tuple[str | None, ...]
    embeddings: Float32[np.ndarray, "B T D"] | None

    def condition(self, row: int) -> bytes:
        """The `condition_digest` of a sample."""
        embedding = None if self.embeddings is None else self.embeddings[row]
        return condition_digest(int(self.labels[row]), self.captions[row], embedding)


def batches(
    source: Source,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    batch_size: int,
    *,
    num_threads: int = NUM_READERS,
    prefetch: int = 2,
) -> Iterator[PictureBatch]:
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
class _Prepared:
    """What is known of one sample beside its image, which is written in place."""

    sample_id: str
    label: int
    caption: str | None
    embedding: Float32[np.ndarray, "T D"] | None
    blind: Float32[np.ndarray, " K"]
    digest: str


def _batches(
    source: Source,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    batch_size: int,
    num_threads: int,
    prefetch: int,
) -> Iterator[PictureBatch]:
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


def _collect(source: Source, images: np.ndarray, futures: list[Future]) -> PictureBatch:
    outcomes = [future.result() for future in futures]
    usable = [row for row, outcome in enumerate(outcomes) if isinstance(outcome, _Prepared)]
    if len(usable) < len(outcomes):
        unusable = {o.sample_id: o.reason for o in outcomes if isinstance(o, UnusableImageError)}
        report_unusable(source, unusable, len(outcomes))
        images = images[usable]
    rows: list[_Prepared] = [outcomes[row] for row in usable]
    embeddings = None
    if source.embeddings is not None:
        found = [row.embedding for row in rows if row.embedding is not None]  # of a source, all or none
        embeddings = np.stack(found) if found else np.zeros((0, 0, 0), np.float32)
    return PictureBatch(
        ids=tuple(row.sample_id for row in rows),
        labels=np.asarray([row.label for row in rows], np.int32),
        images=images,
        blind=np.asarray([row.blind for row in rows], np.float32).reshape(-1, len(BLIND_NAMES)),
        digests=tuple(row.digest for row in rows),
        captions=tuple(row.caption for row in rows),
        embeddings=embeddings,
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
    return _Prepared(
        sample.id,
        sample.label,
        sample.caption,
        sample.embedding,
        blind_features(sample.image, view),
        pixel_digest(sample.image),
    )
