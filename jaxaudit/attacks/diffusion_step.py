"""The step of a `DiffusionTarget`: from a batch of pictures or latents to the scores of diffusion models.

    latents ← encode(images);  noises ← key, id;  nodes ← scores;  execute(nodes) → scores

Beside what every step reads (`jaxaudit.attacks.step`) a batch may hold

    latents [B,h,w,c]     instead of images
    noise   [B,R,h,w,c]   instead of drawn noises; R may differ from the usual
    condition             classes [B] or embeddings of captions [B,T,D]; none for an unconditional model
    null    [B,T,D]       the embedding of the empty caption, for a model of captions

On a CPU all of it is done for one image per device at a time (`jaxaudit.runtime.rows`).

Axes: B batch, H and W pixels, h and w latent pixels, c channels, R noises, T tokens of a caption, D their
channels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.diffusion import NUM_NOISES
from jaxaudit.attacks.diffusion_measurements import ReconstructionError
from jaxaudit.attacks.diffusion_nodes import Evaluation
from jaxaudit.attacks.diffusion_plan import Cost, Process, Run, cost, execute, required
from jaxaudit.attacks.registry import Kind, Score, ScorePlan
from jaxaudit.attacks.step import Outputs, Rows, Step
from jaxaudit.errors import InputError
from jaxaudit.runtime.flops import count_flops
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import DiffusionFunctions, DiffusionTarget, Params
from jaxaudit_kernels import draws
from jaxaudit_kernels.diffusion import Schedule
from jaxaudit_kernels.gradient_masking import output_and_gradient

_TIMESTEPS = 1000  # that scores reckon with


@dataclasses.dataclass(frozen=True)
class DiffusionStep(Step):
    """See the module."""

    kind: ClassVar[Kind] = "diffusion"

    functions: DiffusionFunctions
    schedule: Schedule
    latent_shape: tuple[int, int, int]
    learned_variance: bool
    null_label: int | None
    scores: tuple[Score, ...]
    options: None = None

    @classmethod
    def of(cls, target: DiffusionTarget, scores: tuple[Score, ...], options: None) -> DiffusionStep:
        """The step that computes `scores` for a target.

        Raises:
          InputError: if there are options, or the target has not the timesteps of a score.
        """
        if options is not None:
            given = ", ".join(field.name for field in dataclasses.fields(options))
            raise InputError(f"{given} do not apply to {target.name}: it is a diffusion model.")
        if target.num_timesteps < _TIMESTEPS:
            raise InputError(
                f"{target.name} has {target.num_timesteps} timesteps; the scores look at {_TIMESTEPS}."
            )
        return cls(
            target.functions,
            target.schedule,
            target.latent_shape,
            target.learned_variance,
            target.null_label,
            scores,
        )

    @staticmethod
    def refuse(target: DiffusionTarget, score: Score, *, null_context: bool) -> str | None:
        """Why a target cannot have a score, None if it can."""
        process = Process(target.schedule, NUM_NOISES, target.learned_variance)
        nodes = required(score.inputs, process)
        if any(isinstance(node, Evaluation) and node.null for node in nodes):
            if target.context_shape and not null_context:
                return (
                    f"{target.name} reads captions, and null_context, that of none, is not given (sources "
                    "have it as null_embedding)"
                )
            if not target.context_shape and target.null_label is None:
                return f"{target.name} is unconditional"
        if ReconstructionError() in nodes and target.latent_shape[0] == target.preprocessing.image_size:
            return f"{target.name} has no autoencoder"
        return None

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Outputs:
        """See the module.

        Raises:
          InputError: if there are latents and a score looks at images.
        """
        if "latents" in batch and self._reconstructs:
            raise InputError("Score arl is measured on images; latents are not enough.")
        names = tuple(batch)
        scores = map_rows(
            lambda *rows: self._scores(inputs, dict(zip(names, rows, strict=True))),
            *batch.values(),
            rows=rows_at_once(),
        )
        return {"tokens": None, "scores": scores, "features": {}}

    def _scores(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> dict[str, Float[Array, " B"]]:
        wanted = [node for score in self.scores for node in score.inputs]
        return ScorePlan(self.scores).device(execute(wanted, self._run(inputs, batch)))

    def _run(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Run:
        params, key = inputs
        functions, labels, images = self.functions, batch.get("condition"), batch.get("images")
        keys = draws.image_keys(key, batch["ids"])
        if "noise" in batch:
            noises = jnp.moveaxis(batch["noise"], 1, 0)
        else:
            noises = draws.noises(keys, NUM_NOISES, self.latent_shape)
        null = batch.get("null")
        if self.null_label is not None:
            null = jnp.full_like(labels, self.null_label)
        return Run(
            process=self._process(len(noises)),
            network=functools.partial(functions.network, params),
            decode=functools.partial(functions.decode, params),
            images=images,
            latents=batch["latents"] if images is None else functions.encode(params, images),
            noises=noises,
            random_level=draws.timesteps(keys, 1, 1, len(self.schedule.betas))[0, :, 0],
            condition=labels,
            null=null,
        )

    @property
    def _reconstructs(self) -> bool:
        return any(ReconstructionError() in score.inputs for score in self.scores)

    def _process(self, num_noises: int = NUM_NOISES) -> Process:
        return Process(self.schedule, num_noises, self.learned_variance)

    def evaluations(self) -> dict[str, Cost]:
        """Evaluations of the network for one image.

        "planned": what the step does; "naive": the sum over the scores, each computed alone.
        """
        process = self._process()
        alone = (cost(score.inputs, process) for score in self.scores)
        return {
            "planned": cost(ScorePlan(self.scores).inputs, process),
            "naive": sum(alone, Cost()),
        }

    def flops(self, inputs: Any, batch: Mapping[str, Any]) -> int:
        """Floating-point operations for a batch, as `count_flops` does, of `evaluations()["planned"]`."""
        params, _ = inputs
        functions, size = self.functions, len(batch["ids"])
        latents = jax.ShapeDtypeStruct((size, *self.latent_shape), jnp.float32)
        time, condition = jnp.zeros(size), batch.get("condition")

        def gradient(params: Any, z: Any, condition: Any) -> Any:
            network = functools.partial(functions.network, params)
            return output_and_gradient(network, z, time, condition, z)

        def forward(params: Any, z: Any, condition: Any) -> Any:
            return functions.network(params, z, time, condition)

        planned = self.evaluations()["planned"]
        total = planned.forwards * count_flops(forward, params, latents, condition)
        total += planned.gradients * count_flops(gradient, params, latents, condition)
        if "images" in batch:
            total += count_flops(functions.encode, params, batch["images"])
        if self._reconstructs:
            total += count_flops(functions.decode, params, latents)
        return total
