"""The loop of every measurement that is kept in shards: resumed after a kill, shared by processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from jaxaudit.errors import DamagedFileError
from jaxaudit.evidence import Contents, Shard, ShardFolder, claim_shards
from jaxaudit.paths import Location
from jaxaudit.runtime.processes import ALONE, Process
from jaxaudit.runtime.progress import Progress
from jaxaudit.sharing import share

Columns = Mapping[str, np.ndarray | Sequence[str]]
"""{column: [N] or [N,F]} of some rows."""

Compute = Callable[[Shard, Callable[[int], None]], Columns]
"""Computes the columns of a shard, telling now and then how many of its rows are done."""


def filled(
    directory: Location,
    contents: Contents,
    request: Mapping[str, Any],
    compute: Compute,
    progress: Progress,
    what: str,
    *,
    run: Mapping[str, Any],
    num_rows: Mapping[str, int],
    shard_size: int,
    process: Process = ALONE,
) -> ShardFolder:
    """The folder of this request, when every shard of it is there.

    Args:
      directory, contents, request, run, num_rows, shard_size: see `jaxaudit.evidence.claim_shards`.
      compute, progress, what, process: see `fill`.

    Raises:
      InputError: as `jaxaudit.evidence.claim_shards`.
    """
    size = {"num_rows": num_rows, "shard_size": shard_size}
    folder = ShardFolder(directory, claim_shards(directory, contents, request, run, **size))
    fill(folder, compute, progress, what, process=process)
    return folder


def fill(
    folder: ShardFolder, compute: Compute, progress: Progress, what: str, *, process: Process = ALONE
) -> None:
    """Returns when every shard is there, computed by this process or by another that fills the folder.

    `progress` hears of `what` in rows, those of all processes. A shard that is there and cannot be read is
    computed again, which `progress` hears of as well.
    """
    shards = {shard.filename: shard for shard in folder.shards()}
    total, done = sum(map(len, shards.values())), 0

    def heard(left: Collection[str]) -> None:
        nonlocal done
        done = total - sum(len(shards[name]) for name in left)
        progress(done, total, what)

    def work(name: str) -> None:
        shard = shards[name]
        columns = compute(shard, lambda rows: progress(done + rows, total, what))
        if not folder.path(shard).exists():  # of what was computed twice, the first result stands
            folder.write(shard, columns)

    _remove_damaged(folder, progress)
    share(folder.directory, list(shards), work, first=process.first(list(shards)), heard=heard)


def _remove_damaged(folder: ShardFolder, progress: Progress) -> None:
    for shard in set(folder.shards()) - set(folder.missing()):
        try:
            folder.read_shard(shard)
        except DamagedFileError as error:
            progress(0, 0, f"{str(error).rstrip('.')}; it is computed again")
            folder.path(shard).unlink(missing_ok=True)
