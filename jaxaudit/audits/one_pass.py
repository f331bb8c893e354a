"""One pass over pictures: read ahead, held to what was looked at, one batch on the devices at a time.

Axes: N pictures, K blind features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.attacks.condition import condition_of
from jaxaudit.audits.pictures import Pictures
from jaxaudit.data import PictureBatch, batches
from jaxaudit.runtime.parallel import Result, one_in_flight
from jaxaudit.targets import Given, Target


@dataclasses.dataclass(frozen=True, eq=False)
class Passed:
    """What is kept of the pictures of some rows, and what was found; the pixels are gone.

    Attributes:
      ids, digests: N each. labels: [N] classes. blind: [N,K] features that never saw the model.
      found: one result per batch, in order.
    """

    ids: list[str]
    digests: list[str]
    labels: Int[np.ndarray, " N"]
    blind: Float[np.ndarray, "N K"]
    found: list[Any]


def one_pass(
    target: Target,
    pictures: Pictures,
    rows: range,
    submit: Callable[[PictureBatch, Given], Result],
    batch_size: int,
    done: Callable[[int], None],
) -> Passed:
    """Asks about the pictures of some rows.

    Args:
      target: reads the pictures.
      pictures: whose rows are meant.
      rows: of `pictures.source`; at least one.
      submit: starts what is asked about a batch, given what the model is told.
      batch_size: pictures of a batch; the last may have fewer.
      done: told how many rows are done.

    Raises:
      InputError: if a picture has changed since it was looked at.
    """
    read = batches(pictures.source, rows, target.preprocessing, batch_size)
    ids, digests, labels, blind, found = [], [], [], [], []
    for batch, result in one_in_flight(
        pictures.unchanged(read), lambda batch: submit(batch, condition_of(target, batch))
    ):
        ids += batch.ids
        digests += batch.digests
        labels.append(batch.labels)
        blind.append(batch.blind)
        found.append(result)
        done(len(ids))
    return Passed(ids, digests, np.concatenate(labels), np.concatenate(blind), found)
