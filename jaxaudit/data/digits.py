"""scikit-learn's 1,797 handwritten digits of 8x8 pixels, cut into members and nonmembers once and for all.

The built-in targets are trained on exactly `digits:members`. Grey g in 0..16 becomes (255·g + 8) // 16 in all
three channels, which (16·v + 127) // 255 undoes. Within each class the pictures are ordered by a hash of
their pixels and the first half are members, so the cut depends on the pictures alone, not on any random
generator. Classes of odd size give the extra picture to either side in turn. No two of the pictures are
equal.
"""

import functools
import hashlib
from collections.abc import Mapping

import numpy as np

from jaxaudit.data.source import Picture, Source
from jaxaudit.errors import unknown_name

_SPLITS = ("members", "nonmembers")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def open_digits(location: str, options: Mapping[str, str]) -> Source:
    """`digits:members` or `digits:nonmembers`; ids are the rows of `sklearn.datasets.load_digits`.

    The caption of a 3 is "a handwritten three".

    Raises:
      InputError: for any other name.
    """
    del options
    if location not in _SPLITS:
        raise unknown_name("half of the digits", location, _SPLITS)
    images, labels, is_member = _digits()
    rows = np.flatnonzero(is_member if location == "members" else ~is_member)
    ids = [f"digits/{row:04d}" for row in rows]
    return Source(
        spec=f"digits:{location}",
        ids=ids,
        read=lambda index: Picture(images[rows[index]]),
        labels=labels[rows],
        num_classes=10,
        label_rule="the digit",
        captions={
            name: f"a handwritten {_WORDS[label]}" for name, label in zip(ids, labels[rows], strict=True)
        },
    )


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [1797,8,8,3] uint8, labels [1797] int32, is_member [1797] bool."""
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    grey = np.asarray(pixels).reshape(-1, 8, 8).astype(np.int32)
    labels = np.asarray(target).astype(np.int32)
    images = np.repeat(((255 * grey + 8) // 16).astype(np.uint8)[..., None], 3, axis=-1)
    hashes = [
        hashlib.sha256(b"jaxaudit digits\0" + picture.astype(np.uint8).tobytes()).digest() for picture in grey
    ]
    is_member = np.zeros(len(labels), bool)
    odd_classes = 0
    for digit in range(10):
        rows = sorted(np.flatnonzero(labels == digit), key=hashes.__getitem__)
        half = (len(rows) + odd_classes % 2) // 2
        odd_classes += len(rows) % 2
        is_member[rows[:half]] = True
    return images, labels, is_member
