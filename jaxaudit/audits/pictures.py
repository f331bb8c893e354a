"""The pictures of a measurement, as they were when it began: looked at once, held to it until the end.

A request says of every picture its name, pixels, class, and what the model is told; so whoever changes one in
place asks for something else, and old numbers are never reported of new pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxaudit.data import PictureBatch, Preprocessing, Scan, Seen, Source, scan
from jaxaudit.errors import InputError
from jaxaudit.runtime.progress import Progress


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """Usable pictures.

    Attributes:
      source: they alone, labels and captions resolved for the target.
      looked: what was found when every one of them was read.
    """

    source: Source
    looked: Scan

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
          InputError: for a picture whose pixels are others by now.
        """
        for batch in batches:
            for sample_id, digest in zip(batch.ids, batch.digests, strict=True):
                if digest != self.digests[sample_id]:
                    raise InputError(
                        f"{sample_id!r} of {self.source.spec} has changed since this run began; begin again "
                        "with pictures that stay as they are."
                    )
            yield batch


def look(source: Source, preprocessing: Preprocessing, progress: Progress) -> Pictures:
    """Reads every picture once.

    Args:
      source: with labels and captions resolved; what it skips is listed in its `skipped`.
      preprocessing: that the pictures must be large enough for.
      progress: hears of pictures read.

    Raises:
      InputError: as `jaxaudit.data.scan`, or if no picture can be used.
    """
    looking = f"Looking at {source.spec}"
    looked = scan(source, preprocessing, progress=lambda done, total: progress(done, total, looking))
    if not looked.usable.any():
        raise InputError(f"{source.spec} holds no picture that can be used.")
    return Pictures(looked.keep(source), looked)
