"""A look at every picture of a source, before an expensive audit.

Axes: N samples, H height, W width.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool

from jaxaudit.data.conditions import condition_digest
from jaxaudit.data.duplicates import Fingerprints
from jaxaudit.data.images import UnusableImageError
from jaxaudit.data.preprocessing import Preprocessing, check_size
from jaxaudit.data.source import NUM_READERS, Source, report_unusable
from jaxaudit.data.traits import Traits, join_traits, read_traits, texts

_CHUNK = 1024  # pictures looked at together


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """What a look at every picture found.

    Attributes:
      usable: [N] bool, by position in the source. skipped: {id: reason} of the others.
      digests: {id: `pixel_digest`} of the usable pictures.
      told: {id: `condition_digest`} of these, where only reading tells it (`Source.tells_while_read`), or {}.
      pixels, labels, conditions: sha256 (hex) over the usable pictures in their order, of their names and
        pixels, of their names and classes, and of what they tell the model (`condition_digest`). Sources in
        which all three agree ask a model the same.
      prints: by which near-duplicates among the usable pictures are found.
      groups: the group that each of these was declared to be of, None for none.
      short_side: that of the smallest of these, pixels; 0 if there is none.
    """

    usable: Bool[np.ndarray, " N"]
    skipped: Mapping[str, str]
    digests: Mapping[str, str]
    told: Mapping[str, bytes]
    pixels: str
    labels: str
    conditions: str
    prints: Fingerprints
    groups: tuple[str | None, ...]
    short_side: int

    def keep(self, source: Source) -> Source:
        """The usable pictures of the source that was scanned."""
        return source if self.usable.all() else source.take(np.flatnonzero(self.usable).tolist())


def scan(
    source: Source,
    preprocessing: Preprocessing,
    *,
    known: Iterable[Traits] | None = None,
    num_threads: int = NUM_READERS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Looks at every sample once: are all of them usable, which are the same, what will the model be told?

    With `skip_unreadable`, unusable pictures are listed in `source.skipped`.

    Args:
      source: all of it.
      preprocessing: that the pictures must be large enough for.
      known: what reading told earlier, of all pictures in their order; None reads them. Whoever goes by it
        must compare the pixels once they are read. Nobody reads what is left out, so those pictures are read
        here again.
      num_threads: threads that read.
      progress: called with (pictures seen, all).

    Raises:
      InputError: (without `skip_unreadable`) with the number of unusable pictures and the first few of them;
        or for the first embedding that cannot be used.
    """
    total = len(source)
    usable, digests, told, unusable = np.ones(total, bool), {}, {}, {}
    pixels, labels, conditions = (hashlib.sha256() for _ in range(3))
    hashes, thumbnails = np.zeros(total, np.uint64), np.zeros((total, 256), np.uint8)
    groups: list[str | None] = []
    short_sides: list[int] = []
    with ThreadPoolExecutor(num_threads) as pool:
        for rows, part, reasons in _parts(source, preprocessing, known, num_threads):
            of_part = slice(rows.start, rows.stop)
            usable[of_part] = reasons == ""
            hashes[of_part], thumbnails[of_part] = part.hash, part.thumbnail
            of_these = zip(rows, reasons.tolist(), strict=True)
            unusable |= {source.ids[row]: reason for row, reason in of_these if reason}
            places = np.flatnonzero(usable[of_part])
            part, rows = part.take(places), (rows.start + places).tolist()
            tells = pool.map(functools.partial(_tell, source), rows, part.label.tolist(), texts(part.caption))
            short_sides += np.minimum(part.height, part.width).tolist()
            groups += texts(part.group) if source.groups is None else [source.groups[row] for row in rows]
            for row, digest, (label, condition) in zip(rows, part.digest.tolist(), tells, strict=True):
                name = source.ids[row]
                of_row = name.encode() + b"\0"
                digests[name] = digest
                pixels.update(of_row + digest.encode())
                labels.update(of_row + b"%d\0" % label)
                conditions.update(condition)
                if source.tells_while_read:
                    told[name] = condition
            progress(of_part.stop, total)
    report_unusable(source, unusable, total)
    return Scan(
        usable,
        unusable,
        digests,
        told,
        pixels=pixels.hexdigest(),
        labels=labels.hexdigest(),
        conditions=conditions.hexdigest(),
        prints=Fingerprints(hashes, thumbnails).take(np.flatnonzero(usable)),
        groups=tuple(groups),
        short_side=min(short_sides, default=0),
    )


def _tell(source: Source, row: int, label: int, caption: str | None) -> tuple[int, bytes]:
    """The class of a picture, and the digest of all that it tells the model."""
    label, caption, embedding = source.told(row, label, caption)
    return label, condition_digest(label, caption, embedding)


def _parts(
    source: Source, preprocessing: Preprocessing, known: Iterable[Traits] | None, num_threads: int
) -> Iterator[tuple[range, Traits, np.ndarray]]:
    """Successive rows, what reading them tells, and [N] why they cannot be used ("" if they can)."""
    start = 0
    for part in _read(source, num_threads) if known is None else known:
        reasons = _reasons(part, preprocessing)
        if known is not None and (left_out := np.flatnonzero(reasons)).size:
            part = _read_again(source, start, part, left_out, num_threads)
            reasons = _reasons(part, preprocessing)
        rows = range(start, start + len(part))
        yield rows, part, reasons
        start = rows.stop


def _read(source: Source, num_threads: int) -> Iterator[Traits]:
    for start in range(0, len(source), _CHUNK):
        yield read_traits(source, range(start, min(start + _CHUNK, len(source))), num_threads=num_threads)


def _read_again(source: Source, start: int, part: Traits, rows: np.ndarray, num_threads: int) -> Traits:
    """The part that begins at row `start` of the source, with some of its rows read anew."""
    again = read_traits(source, (start + rows).tolist(), num_threads=num_threads)
    order = np.arange(len(part))
    order[rows] = len(part) + np.arange(len(rows))
    return join_traits([part, again]).take(order)


def _reasons(part: Traits, preprocessing: Preprocessing) -> np.ndarray:
    return np.array(
        [
            _reason(row, preprocessing)
            for row in zip(part.reason.tolist(), part.height.tolist(), part.width.tolist(), strict=True)
        ],
        np.str_,
    )


def _reason(row: tuple[str, int, int], preprocessing: Preprocessing) -> str:
    unreadable, height, width = row
    try:
        if not unreadable:
            check_size(height, width, preprocessing)
    except UnusableImageError as error:
        return error.reason
    return unreadable
