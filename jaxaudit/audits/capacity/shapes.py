"""A scoring step of which only the shapes are here."""

from __future__ import annotations

from typing import Any

import jax

from jaxaudit.attacks.batch import batch_spec
from jaxaudit.attacks.step import Step
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.checkpoint import abstract_target
from jaxaudit.results import StepSetting
from jaxaudit.runtime.devices import get_device
from jaxaudit.targets import Target

Shapes = tuple[tuple[Any, Any], dict[str, jax.ShapeDtypeStruct]]
"""((params, key), batch): what a step is given, as `jax.ShapeDtypeStruct`s."""


def abstract_step(setting: StepSetting) -> tuple[Target, Step, Shapes]:
    """The target, its step, and the shapes that the step is given.

    A model of captions is given the embedding of the empty one, as in an audit whose sources have it.

    Raises:
      InputError: for unknown names, or scores that the target or the access does not allow.
    """
    platform = get_device(setting.device).chip.platform
    target = abstract_target(
        setting.target,
        dtype=setting.precision,
        platform=platform,
        attention="auto" if setting.split == 1 else "xla",  # the compiler does not cut kernels into pieces
    )
    captions = target.context_shape is not None
    step = make_step(target, setting.scores, access=setting.access, null_context=captions)
    batch = batch_spec(target, setting.batch_size, null_context=captions)
    return target, step, ((target.params, jax.eval_shape(jax.random.key, 0)), batch)
