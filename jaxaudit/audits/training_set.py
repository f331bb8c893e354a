"""The pictures of a training run: looked at once, and as arrays of the model that learns from them."""

from __future__ import annotations

import numpy as np

from jaxaudit.attacks.condition import condition_of, null_context
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.data import Source, batches
from jaxaudit.errors import InputError
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target
from jaxaudit.training import PictureSet


def read_training_set(
    source: Source, target: Target, progress: Progress = silent
) -> tuple[Pictures, PictureSet]:
    """The pictures as they are now, and as the target reads them.

    Args:
      source: labels and captions resolved for the target.
      target: what will be trained.
      progress: hears of pictures.

    Raises:
      InputError: if pictures cannot be used, or captions come without the embedding of the empty one.
    """
    pictures = look(source, target.preprocessing, progress)
    read = batches(pictures.source, range(len(pictures.source)), target.preprocessing, 256)
    parts = list(pictures.unchanged(read))
    null = null_context(target, [pictures.source])
    if target.context_shape is not None and null is None:
        raise InputError(f"{source.spec} has no embedding of the empty caption, which training needs.")
    conditions = np.concatenate([np.asarray(condition_of(target, part)) for part in parts])
    return pictures, PictureSet(np.concatenate([part.images for part in parts]), conditions, null)
