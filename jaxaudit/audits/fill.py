"""The loop of every measurement that is kept in shards: resumed after a kill, shared by processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxaudit.errors import InputError
from jaxaudit.evidence import Shard, ShardFolder
from jaxaudit.runtime.processes import my_share, wait_for_all_processes
from jaxaudit.runtime.progress import Progress

Columns = Mapping[str, np.ndarray | Sequence[str]]
"""{column: [N] or [N,F]} of some rows."""

Compute = Callable[[Shard, Callable[[int], None]], Columns]
"""Computes the columns of a shard, telling now and then how many of its rows are done."""


def fill(folder: ShardFolder, compute: Compute, progress: Progress, what: str) -> None:
    """Computes and writes those missing shards that are this process's share, and waits for the others.

    `progress` hears of `what` in rows of this process; shards that are there count as done. One that is
    there and cannot be read is computed again, which `progress` hears of as well.
    """
    mine, missing = my_share(folder.shards()), set(folder.missing())
    total, done = sum(map(len, mine)), 0
    for shard in mine:
        if shard in missing or _damaged(folder, shard, progress):
            folder.write(shard, compute(shard, lambda rows, base=done: progress(base + rows, total, what)))
        done += len(shard)
        progress(done, total, what)
    wait_for_all_processes(str(folder.directory))


def _damaged(folder: ShardFolder, shard: Shard, progress: Progress) -> bool:
    try:
        folder.read_shard(shard)
    except InputError as error:
        progress(0, 0, f"{str(error).rstrip('.')}; it is computed again")
        return True
    return False
