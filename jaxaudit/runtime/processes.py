"""Several processes (hosts) at one audit: how they find, and wait for, each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax

from jaxaudit.errors import InputError

Item = TypeVar("Item")


def initialize_processes(spec: str) -> None:
    """Joins the processes of a multi-host audit.

    Args:
      spec: "" (one process, nothing to do), "auto" (the cluster tells: TPU pods, SLURM, Open MPI), or
        "ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID".

    Raises:
      InputError: if `spec` is none of these.
    """
    if not spec:
        return
    if spec == "auto":
        jax.distributed.initialize()
        return
    fields: Sequence[str] = spec.split(",")
    if len(fields) != 3 or not fields[1].isdigit() or not fields[2].isdigit():
        raise InputError(f"distributed={spec!r} is not 'auto' or 'ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID'.")
    jax.distributed.initialize(fields[0], int(fields[1]), int(fields[2]))


def wait_for_all_processes(label: str) -> None:
    """Returns once every process has called it with the same label."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(label)


def my_share(items: Sequence[Item]) -> Sequence[Item]:
    """Every n-th of the items, n processes, beginning with the one of this process's number."""
    return items[jax.process_index() :: jax.process_count()]
