"""All walks of `jaxaudit.attacks.schedules` and the step of `jaxaudit.attacks.low_rank`, batch after batch.

Axes: B batch, H and W pixels, S steps of a schedule, T tokens of a caption, D their channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.batch import make_batch
from jaxaudit.attacks.low_rank import LowRankStep, why_no_low_rank
from jaxaudit.attacks.schedule_step import ScheduleStep
from jaxaudit.attacks.schedules import NUM_NOISES, SCHEDULES, why_not
from jaxaudit.attacks.step import Rows
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.runtime.mesh import mesh_of, replicated
from jaxaudit.runtime.parallel import Parallelism, Pending, data_parallel
from jaxaudit.runtime.partition import place
from jaxaudit.runtime.rows import rows_at_once
from jaxaudit.targets import AnyArray, DiffusionTarget, Given, Params, Target

LOW_RANK = "low_rank"
"""The name of log l*, beside those of schedules."""
_FEWEST_LEVELS = 100  # at which timesteps that are 10 of 1,000 apart are different levels


@dataclasses.dataclass(frozen=True)
class _Steps:
    """What several steps find, as one."""

    steps: tuple[ScheduleStep | LowRankStep, ...]

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> dict[str, Array]:
        return {name: values for step in self.steps for name, values in step(inputs, batch).items()}


class ScheduleAttack:
    """Walks images through a diffusion or flow model.

    Args:
      target: of diffusion.
      names: schedules, of `SCHEDULES`; those that the target cannot be walked through are left out.
      num_noises: over which errors are averaged.
      key: of all draws; default `jax.random.key(0)`. Those of an image follow from its id.
      null_context: [T,D], the embedding of the empty caption, for models of captions; default what the model
        has learned in its place, if it has.
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Attributes:
      schedules: {name: schedule} of those that are walked.
      omitted: {name: why not}, of the others and of the low-rank step.
      mesh: the devices.

    Raises:
      InputError: if the target is no diffusion model or has too few levels, a schedule is unknown, or none
        can be walked.
    """

    def __init__(
        self,
        target: Target,
        names: Sequence[str] = tuple(SCHEDULES),
        *,
        num_noises: int = NUM_NOISES,
        key: Key[Array, ""] | None = None,
        null_context: Float[AnyArray, "T D"] | None = None,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        if not isinstance(target, DiffusionTarget):
            raise InputError(
                f"{target.name} is a {target.kind} target and has no noise to walk through; take a diffusion "
                "or flow model."
            )
        if target.process.num_levels < _FEWEST_LEVELS:
            raise InputError(
                f"{target.name} has {target.process.num_levels} noise levels; schedules need "
                f"{_FEWEST_LEVELS}, to tell their timesteps apart."
            )
        self.target, self.mesh = target, mesh or mesh_of(target.params)
        self._null = target.null_context if null_context is None else null_context
        self.omitted: dict[str, str] = {}
        for name in names:
            if name not in SCHEDULES:
                raise unknown_name("schedule", name, SCHEDULES)
            if why := why_not(SCHEDULES[name], target, null_context=self._null is not None):
                self.omitted[name] = why
        self.schedules = {name: SCHEDULES[name] for name in names if name not in self.omitted}
        if not self.schedules:
            name, why = next(iter(self.omitted.items()))
            raise InputError(f"No schedule is left: {name}, because {why}.")
        facts = (target.functions, target.process, target.latent_shape)
        steps: list[ScheduleStep | LowRankStep] = [
            ScheduleStep(*facts, target.null_label, tuple(self.schedules.items()), num_noises)
        ]
        if why := why_no_low_rank(target):
            self.omitted[LOW_RANK] = why
        else:
            steps.append(LowRankStep(*facts, num_noises, rows_at_once(target.platform)))
        self._inputs = (
            place(target.params, target.partition, self.mesh),
            jax.device_put(jax.random.key(0) if key is None else key, replicated(self.mesh)),
        )
        self._run = data_parallel(_Steps(tuple(steps)), self.mesh, parallelism=parallelism)

    def submit(
        self,
        images: Float[np.ndarray, "B H W 3"],
        condition: Given,
        *,
        ids: Sequence[Any] | None = None,
        padded_size: int = 1,
    ) -> Pending:
        """Starts a batch; its result is {"7/latent": [B,S] minus the errors, ..., "low_rank": [B] log l*}.

        Args:
          images: in the target's range.
          condition: classes [B], embeddings of captions [B,T,D], or None, as the target wants.
          ids: B names that stay with the images, from which their draws follow; default 0 .. B-1.
          padded_size: rows the batch is filled up to.

        Raises:
          InputError: if something has another shape or is of no use to the target.
        """
        batch = make_batch(self.target, images, condition, null_context=self._null, ids=ids)
        return self._run(self._inputs, batch, padded_size)
