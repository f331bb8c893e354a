"""Several processes (hosts) at one audit: how they find, and wait for, each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import jax

from jaxaudit.errors import InputError, LostProcessError, reason

Item = TypeVar("Item")

_FORM = re.compile(r"(?P<address>[^,]+:[0-9]{1,5}),(?P<processes>[0-9]{1,6}),(?P<process>[0-9]{1,6})")


def initialize_processes(spec: str) -> None:
    """Joins the processes of a multi-host audit.

    Args:
      spec: "" (one process, nothing to do), "auto" (the cluster tells: TPU pods, SLURM, Open MPI), or
        "ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID".

    Raises:
      InputError: if `spec` is none of these, there is no cluster, or its processes do not find each other.
    """
    if not spec:
        return
    form = _FORM.fullmatch(spec)
    if spec != "auto" and form is None:
        raise InputError(f"distributed={spec!r} is not 'auto' or 'ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID'.")
    try:
        if form is None:
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(form["address"], int(form["processes"]), int(form["process"]))
    except (ValueError, RuntimeError) as error:
        hint = "; on no cluster, leave the option out" if spec == "auto" else ""
        raise InputError(
            f"distributed={spec!r}: the processes cannot be joined ({reason(error)}){hint}."
        ) from error


def wait_for_all_processes(label: str) -> None:
    """Returns once every process has called it with the same label.

    Raises:
      LostProcessError: if another process has died or cannot be reached. (Where the first one dies, JAX's
        own service may end the others before they know.)
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    try:
        multihost_utils.sync_global_devices(label)
    except jax.errors.JaxRuntimeError as error:
        raise LostProcessError(
            f"Another of the {jax.process_count()} processes has died or cannot be reached "
            f"({reason(error)}); start all of them again: what was finished is kept."
        ) from error


def my_share(items: Sequence[Item]) -> Sequence[Item]:
    """Every n-th of the items, n processes, beginning with the one of this process's number."""
    return items[jax.process_index() :: jax.process_count()]
