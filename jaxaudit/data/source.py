"""Where pictures come from, with what is known of them: one record for every kind of source.

Axes: N samples of a source, H height, W width, T tokens and D channels of a caption's embedding.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from jaxaudit.data.embeddings import Embeddings
from jaxaudit.data.images import UnusableImageError
from jaxaudit.data.origin import Origin
from jaxaudit.errors import InputError

UNKNOWN_LABEL = -1
"""The label of a picture whose class nobody gave."""
NUM_READERS = max(16, os.cpu_count() or 1)
"""Threads that read pictures at once: decoding keeps cores busy, and disks far away are waited for."""


class Picture(NamedTuple):
    """What reading a sample tells: RGB pixels [H,W,3] uint8, and what else only that tells."""

    pixels: UInt8[np.ndarray, "H W 3"]
    label: int | None = None
    caption: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Sample:
    """One picture and what is known of it.

    Attributes:
      id: its stable name.
      image: RGB pixels.
      label: its class, or UNKNOWN_LABEL.
      caption: its caption, None if nobody gave one.
      embedding: that of its caption, None if nobody gave one.
      group: what it was declared to belong to, None if to nothing.
    """

    id: str
    image: UInt8[np.ndarray, "H W 3"]
    label: int
    caption: str | None = None
    embedding: Float32[np.ndarray, "T D"] | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Pictures in a fixed order, read one by one, from any thread.

    Attributes:
      spec: the text it was opened from.
      ids: one name per sample, unique and stable from run to run (path within the folder, row, ...).
      read: index -> `Picture`; raises UnusableImageError.
      labels: [N] int32, UNKNOWN_LABEL where nobody gave one; None if only reading a sample tells.
      num_classes: how many classes the labels tell apart, where the source knows (digits, named folders,
        TFDS); None if labels are the target's class indices by themselves.
      label_rule: how the labels came about, for messages.
      target_classes: how many classes the target has that the labels are for; None until that is known.
      captions: {id: caption} of the samples that have one; None if only reading a sample tells.
      embeddings: of the captions, None if there are none.
      groups: N names of what each sample was declared to belong to (a shoot, a series); None if to nothing,
        or if only reading tells.
      file: index -> path of the file that holds this sample and nothing else; None if there are no such
        files.
      origin: where the bytes lie, None if reading costs nothing.
      index: the folder in which what reading tells is kept; None keeps nothing.
      skip_unreadable: leave unusable pictures out instead of raising an error.
      skipped: {id: reason} of the pictures left out so far.
    """

    spec: str
    ids: Sequence[str]
    read: Callable[[int], Picture]
    labels: Int32[np.ndarray, " N"] | None
    num_classes: int | None
    label_rule: str
    captions: Mapping[str, str] | None = dataclasses.field(default_factory=dict)
    embeddings: Embeddings | None = None
    groups: Sequence[str] | None = None
    target_classes: int | None = None
    file: Callable[[int], str] | None = None
    origin: Origin | None = None
    index: str | None = None
    skip_unreadable: bool = False
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int) -> Sample:
        """Reads one sample.

        Raises:
          UnusableImageError: if the picture cannot be read.
          InputError: if its caption is missing or its class is none of the target's where only reading
            tells, or the embedding cannot be used.
        """
        name = self.ids[index]
        try:
            picture = self.read(index)
        except UnusableImageError as error:
            raise UnusableImageError(error.reason, name) from error
        told = self.told(index, picture.label, picture.caption)
        group = picture.group if self.groups is None else self.groups[index]
        return Sample(name, picture.pixels, *told, group)

    def told(
        self, index: int, label: int | None, caption: str | None
    ) -> tuple[int, str | None, Float32[np.ndarray, "T D"] | None]:
        """Class, caption and embedding of a sample, where reading it tells this class and caption.

        Raises:
          InputError: as `load`.
        """
        name = self.ids[index]
        label = self._class(index, label)
        if self.captions is not None:
            caption = self.captions.get(name)
        elif caption is None:
            raise InputError(
                f"{self.spec} has no caption for {name!r}; a model of captions needs one for each."
            )
        embedding = None if self.embeddings is None else self.embeddings.load(name)
        return label, caption, embedding

    def _class(self, index: int, told: int | None) -> int:
        if self.labels is not None:
            return int(self.labels[index])
        label, classes = UNKNOWN_LABEL if told is None else told, self.target_classes
        if classes is not None and not 0 <= label < classes:
            raise InputError(
                f"{self.spec} gives {self.ids[index]!r} the label {label} ({self.label_rule}), but the "
                f"target's classes are 0..{classes - 1}."
            )
        return label

    @property
    def tells_while_read(self) -> bool:
        """Whether classes, captions or their embeddings are known only once they are read."""
        return self.labels is None or self.captions is None or self.embeddings is not None

    def take(self, rows: Sequence[int]) -> "Source":
        """The source of these rows, in this order; both list what is left out in one `skipped`."""
        file = self.file
        return dataclasses.replace(
            self,
            ids=[self.ids[row] for row in rows],
            read=lambda index: self.read(rows[index]),
            labels=None if self.labels is None else self.labels[np.asarray(rows, np.int64)],
            groups=None if self.groups is None else [self.groups[row] for row in rows],
            file=None if file is None else lambda index: file(rows[index]),
            origin=None if self.origin is None else self.origin.take(rows),
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the ids in their order: two sources with the same one hold the same samples."""
        return hashlib.sha256("\0".join(self.ids).encode()).hexdigest()


def parse_label(text: str) -> int:
    """The class of the option `label=N`.

    Raises:
      InputError: if it is not a class index.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"label={text} is not a class index; write label=0, label=1, ...")
    return int(text)


def report_unusable(source: Source, unusable: Mapping[str, str], total: int) -> None:
    """Lists unusable pictures {id: reason}, some of `total`, in `source.skipped`.

    Raises:
      InputError: with their number and the first few, without `skip_unreadable`.
    """
    if source.skip_unreadable:
        source.skipped.update(unusable)
    elif unusable:
        some = "; ".join(f"{sample_id}: {reason}" for sample_id, reason in list(unusable.items())[:3])
        raise InputError(
            f"{len(unusable)} of {total} pictures of {source.spec} cannot be used ({some}"
            f"{'; ...' if len(unusable) > 3 else ''}); repair or remove them, or leave them out with "
            "skip_unreadable."
        )
