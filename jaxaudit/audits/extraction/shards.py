"""Work on a source shard by shard: constant memory, resumed after a kill, shared by processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jax.sharding import Mesh

from jaxaudit.audits.extraction.config import ExtractionConfig
from jaxaudit.audits.fill import filled
from jaxaudit.audits.pictures import Pictures
from jaxaudit.audits.request import measurement_request
from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, Shard
from jaxaudit.paths import Location
from jaxaudit.runtime.progress import Progress
from jaxaudit.targets import Target

Columns = dict[str, np.ndarray]
"""{column: [N] or [N,F]} of some rows."""

_CONTENTS = Contents("a part of an extraction")
_SPLIT = "pictures"


def base_request(target: Target, pictures: Pictures, config: ExtractionConfig) -> dict[str, Any]:
    """What every result on pictures depends on, beside what was asked of them."""
    return {**measurement_request(target, config.seed), **pictures.request}


def run_shards(
    pictures: Pictures,
    compute: Callable[[range, Callable[[int], None]], Columns],
    config: ExtractionConfig,
    mesh: Mesh,
    *,
    request: Mapping[str, Any],
    directory: Location | None,
    progress: Progress,
    what: str,
) -> Iterator[Columns]:
    """Yields the columns of every shard of the pictures, in order.

    With a directory, shards that are there are not computed again, and processes compute the others together
    before all are read back. Without one, they are computed while they are taken.

    Args:
      pictures: that were looked at.
      compute: (rows of their source, function to be told of rows done) -> columns.
      config: see `ExtractionConfig`.
      mesh: the devices that compute.
      request: everything the columns depend on.
      directory: where shards are kept, shared by all processes; None keeps nothing.
      progress: hears of `what` in pictures.

    Raises:
      InputError: if the directory holds shards of another request, or several processes have none.
    """
    total = len(pictures.source)
    if directory is None:
        if config.placement.process.count > 1:
            raise InputError("Several processes need a directory to share.")
        for start in range(0, total, config.shard_size):
            rows = range(start, min(start + config.shard_size, total))
            yield compute(rows, lambda done, start=start: progress(start + done, total, what))
        progress(total, total, what)
        return

    def compute_shard(shard: Shard, done: Callable[[int], None]) -> Columns:
        return compute(shard.rows, done)

    folder = filled(
        directory,
        _CONTENTS,
        request,
        compute_shard,
        progress,
        what,
        run=config.placement.record(mesh),
        num_rows={_SPLIT: total},
        shard_size=config.shard_size,
        process=config.placement.process,
    )
    for shard in folder.shards():
        yield folder.read_shard(shard)
