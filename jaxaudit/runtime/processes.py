"""Which of several processes (hosts) this is, at an audit that they share.

They share the folder of the audit and nothing else (`jaxaudit.sharing`): what a process knows of the others
decides where it begins, not what it does. JAX's own service for processes is not joined: where the process
that runs it is killed, it aborts all the others.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

import jax

from jaxaudit.errors import InputError

_FORM = re.compile(r"(?P<index>[0-9]{1,6})/(?P<count>[0-9]{1,6})", re.ASCII)
_CLUSTERS = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
"""Where SLURM, Open MPI and MPICH say it."""


@dataclasses.dataclass(frozen=True)
class Process:
    """Process `index` of `count`, from 0.

    Raises:
      InputError: if there is no such process.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            last = self.count - 1
            raise InputError(f"There is no process {self.index} of {self.count}; they are 0 to {last}.")

    def first(self, items: Sequence[object]) -> int:
        """The place at which this process begins with items that all of them share."""
        return self.index * len(items) // self.count


ALONE = Process()
"""The only one."""


def which_process(spec: str) -> Process:
    """Which process this is.

    Args:
      spec: "" (the only one), "I/N" (process I of N, from 0), or "auto" (SLURM, Open MPI, MPICH or the TPU
        pod tells).

    Raises:
      InputError: if `spec` is none of these, or nothing tells.
    """
    if not spec:
        return ALONE
    if form := _FORM.fullmatch(spec):
        return Process(int(form["index"]), int(form["count"]))
    if spec != "auto":
        raise InputError(f"process={spec!r} is not 'auto' or I/N, such as 0/4 for the first of four.")
    for index, count in _CLUSTERS:
        if _FORM.fullmatch(found := f"{os.environ.get(index)}/{os.environ.get(count)}"):
            return which_process(found)
    if jax.process_count() == 1:
        raise InputError(
            "process='auto', but neither SLURM, Open MPI, MPICH nor a TPU pod says which process this is; "
            "say I/N, or leave the option out."
        )
    return Process(jax.process_index(), jax.process_count())
