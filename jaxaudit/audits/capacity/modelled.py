"""The memory of a step without its compiler: what is known exactly, and a model of the rest."""

from __future__ import annotations

from typing import Any

import jax

from jaxaudit.attacks.step import Step
from jaxaudit.audits.capacity.shapes import Shapes
from jaxaudit.results import StepMemory
from jaxaudit.runtime.memory import memory_use
from jaxaudit.runtime.partition import bytes_per_device
from jaxaudit.targets import Target

_TEMPORARIES = {"gpu": 1.0, "tpu": 1.2}
"""Bytes of temporaries that a compiler allocates for each byte of the model; TPUs pad arrays to tiles."""

MEMORY_ERROR = {"gpu": 0.65, "tpu": 0.4}
"""By how much modelled temporaries differ at most from the compilers' in docs/compiled.json, as a share."""


def modelled_memory(target: Target, step: Step, shapes: Shapes, *, split: int = 1) -> tuple[StepMemory, int]:
    """What a compiler would allocate on a device for a step whose rows are all on it, and the bytes it moves.

    Args:
      target, step, shapes: from `jaxaudit.audits.capacity.shapes.abstract_step`.
      split: devices over which each parameter is split; what they compute is taken to be whole on each.
    """
    inputs, batch = shapes
    use = memory_use(step, inputs, batch)
    memory = StepMemory(
        arguments=bytes_per_device(target.params, target.partition, split) + _bytes((inputs[1], batch)),
        outputs=_bytes(jax.eval_shape(step, inputs, batch)),
        temporaries=round(_TEMPORARIES[target.platform] * use.peak),
    )
    return memory, use.traffic


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
