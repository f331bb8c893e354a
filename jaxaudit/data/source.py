"""Where labelled pictures come from: one record for every kind of source.

Axes: N samples of a source, H height, W width.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int32, UInt8

from jaxaudit.data.images import UnusableImageError
from jaxaudit.errors import InputError

UNKNOWN_LABEL = -1
"""The label of a picture whose class nobody gave."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One picture: its stable name, RGB pixels [H,W,3] uint8, and class (or UNKNOWN_LABEL)."""

    id: str
    image: UInt8[np.ndarray, "H W 3"]
    label: int


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Labelled pictures in a fixed order, read one by one, from any thread.

    Attributes:
      spec: the text it was opened from.
      ids: one name per sample, unique and stable from run to run (path within the folder, row, ...).
      read: index -> (pixels [H,W,3] uint8, label or None where `labels` tells); raises UnusableImageError.
      labels: [N] int32, UNKNOWN_LABEL where nobody gave one; None if only reading a sample tells.
      num_classes: how many classes the labels tell apart, where the source knows (digits, named folders,
        TFDS); None if labels are the target's class indices by themselves.
      label_rule: how the labels came about, for messages.
      skip_unreadable: leave unusable pictures out instead of raising an error.
      skipped: {id: reason} of the pictures left out so far.
    """

    spec: str
    ids: Sequence[str]
    read: Callable[[int], tuple[np.ndarray, int | None]]
    labels: Int32[np.ndarray, " N"] | None
    num_classes: int | None
    label_rule: str
    skip_unreadable: bool = False
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int) -> Sample:
        """Reads one sample.

        Raises:
          UnusableImageError: if the picture cannot be read.
        """
        try:
            image, label = self.read(index)
        except UnusableImageError as error:
            raise UnusableImageError(error.reason, self.ids[index]) from error
        return Sample(self.ids[index], image, label if self.labels is None else int(self.labels[index]))

    def take(self, rows: Sequence[int]) -> "Source":
        """The source of these rows, in this order."""
        return dataclasses.replace(
            self,
            ids=[self.ids[row] for row in rows],
            read=lambda index: self.read(rows[index]),
            labels=None if self.labels is None else self.labels[np.asarray(rows, np.int64)],
            skipped={},
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the ids in their order: two sources with the same one hold the same samples."""
        return hashlib.sha256("\0".join(self.ids).encode()).hexdigest()


def resolve_labels(source: Source, num_classes: int) -> Source:
    """The source, once it is certain that its labels mean the target's classes 0 .. num_classes - 1.

    A wrong label costs no error later, only a wrong verdict. With `num_classes` = 0 (an unconditional target)
    every label becomes 0, the null label of such a target.

    Raises:
      InputError: if labels are missing, out of range, or the source tells another number of classes apart.
    """
    if num_classes == 0:
        zeros = np.zeros(len(source), np.int32)
        return dataclasses.replace(
            source, labels=zeros, num_classes=0, label_rule="the target has no classes"
        )
    if source.num_classes not in (None, num_classes):
        raise InputError(
            f"{source.spec} tells {source.num_classes} classes apart ({source.label_rule}), but the target "
            f"has {num_classes}, so its labels do not mean the target's classes. {_HOW_TO_LABEL}"
        )
    if source.labels is None:
        return source
    unknown = np.flatnonzero(source.labels == UNKNOWN_LABEL)
    if unknown.size:
        raise InputError(
            f"{source.spec} gives no label for {unknown.size} of its {len(source)} pictures, e.g. "
            f"{source.ids[unknown[0]]!r} ({source.label_rule}), but the target is conditioned on "
            f"{num_classes} classes. {_HOW_TO_LABEL}"
        )
    wrong = np.flatnonzero((source.labels < 0) | (source.labels >= num_classes))
    if wrong.size:
        raise InputError(
            f"{source.spec} gives {source.ids[wrong[0]]!r} the label {source.labels[wrong[0]]} "
            f"({source.label_rule}), but the target's classes are 0..{num_classes - 1}."
        )
    return source


def parse_label(text: str) -> int:
    """The class of the option `label=N`.

    Raises:
      InputError: if it is not a class index.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"label={text} is not a class index; write label=0, label=1, ...")
    return int(text)


_HOW_TO_LABEL = (
    "Name the class folders by class index, or pass their names in the target's order with ?classes=FILE, "
    "or one class for all with ?label=N."
)
