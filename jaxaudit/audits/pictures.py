"""The pictures of a measurement, as they were when it began: looked at once, held to it until the end.

With an index (`jaxaudit.evidence.PictureIndex`) a picture is read once for all looks at it, by whichever
process comes first, and once for every measurement. Measuring begins when the last one was looked at: until
then nobody knows which pictures are on both sides, which hang together, and what the request is.

A request says of every picture its name, pixels, class, and what the model is told; so whoever changes one in
place asks for something else, and old numbers are never reported of new pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxaudit.audits.fill import fill
from jaxaudit.data import (
    Clusters,
    PictureBatch,
    Preprocessing,
    Scan,
    Seen,
    Source,
    check_disjoint,
    find_clusters,
    scan,
)
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, PictureIndex
from jaxaudit.runtime.progress import Progress


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """Usable pictures.

    Attributes:
      source: they alone, labels and captions resolved for the target.
      looked: what was found when every one of them was read.
      index: that this was taken from, None if they were all read just now.
    """

    source: Source
    looked: Scan
    index: PictureIndex | None = None

    @property
    def digests(self) -> Mapping[str, str]:
        """{id: `jaxaudit.data.pixel_digest`}."""
        return self.looked.digests

    @property
    def request(self) -> dict[str, Any]:
        """Which they are, JSON-able: for the request of what is measured on them."""
        return {
            "source": self.source.spec,
            "classes": {"rule": self.source.label_rule, "count": self.source.num_classes},
            "ids_sha256": self.source.fingerprint,
            "pixels_sha256": self.looked.pixels,
            "labels_sha256": self.looked.labels,
            "conditions_sha256": self.looked.conditions,
        }

    @property
    def seen(self) -> Seen:
        """What tells which of them hang together."""
        looked = self.looked
        return Seen(self.source.ids, [*self.digests.values()], looked.prints, looked.groups)

    def unchanged(self, batches: Iterable[PictureBatch]) -> Iterator[PictureBatch]:
        """The batches of `source`, as long as they hold what was looked at.

        Raises:
          InputError: for a picture whose pixels, or what it tells the model, are others by now. The index
            knows it no more.
        """
        told = self.looked.told
        for batch in batches:
            for row, (sample_id, digest) in enumerate(zip(batch.ids, batch.digests, strict=True)):
                if digest != self.digests[sample_id] or (told and told[sample_id] != batch.condition(row)):
                    if self.index is not None:
                        self.index.forget(sample_id)
                    raise InputError(
                        f"{sample_id!r} of {self.source.spec} has changed since this run began, or without a "
                        "trace in the dates of its file; begin again with pictures that stay as they are."
                    )
            yield batch


def look(source: Source, preprocessing: Preprocessing, progress: Progress) -> Pictures:
    """Looks at every picture once.

    Args:
      source: with labels and captions resolved; what it skips is listed in its `skipped`. With an `index`,
        only pictures are read that it does not know yet, and several processes share that.
      preprocessing: that the pictures must be large enough for.
      progress: hears of pictures looked at.

    Raises:
      InputError: as `jaxaudit.data.scan`, or if no picture can be used.
    """
    what, index = f"Looking at {source.spec}", None
    if source.index is not None and source.origin is not None:
        index = PictureIndex(source.index, source, source.origin)
        fill(index, index.compute, progress, what)
        what = f"Going through the index of {source.spec}"
    looked = scan(
        source,
        preprocessing,
        known=None if index is None else index.parts(),
        progress=lambda done, total: progress(done, total, what),
    )
    if not looked.usable.any():
        raise InputError(f"{source.spec} holds no picture that can be used.")
    usable = dataclasses.replace(looked.keep(source), skip_unreadable=False)  # they were, so they must be
    return Pictures(usable, looked, index)


def look_at_both(
    sides: Mapping[str, Source], preprocessing: Preprocessing, progress: Progress
) -> tuple[dict[str, Pictures], dict[str, Clusters]]:
    """Looks at members and nonmembers, and finds which of them hang together.

    Args:
      sides: {side: its pictures}.
      preprocessing, progress: as `look`.

    Raises:
      InputError: as `look`, or if the sides share pictures.
    """
    pictures = {side: look(sides[side], preprocessing, progress) for side in SPLITS}
    members, nonmembers = pictures.values()
    check_disjoint(members.digests, nonmembers.digests)
    progress(0, 0, "Looking for near-duplicates")
    found = find_clusters(members.seen, nonmembers.seen)
    return pictures, dict(zip(SPLITS, found, strict=True))
