"""The step of a `DiffusionTarget`: from a batch of pictures or latents to the scores of diffusion models.

    latents ← encode(images);  noises ← key, id;  nodes ← scores;  execute(nodes) → scores

Beside what every step reads (`jaxaudit.attacks.step`) a batch may hold

    latents [B,h,w,c]     instead of images
    noise   [B,R,h,w,c]   instead of drawn noises; R may differ from the usual
    condition             classes [B] or embeddings of captions [B,T,D]; none for an unconditional model
    null    [B,T,D]       the embedding of the empty caption, for a model of captions

On a CPU all of it is done for one image at a time (`jaxaudit.runtime.rows`).

Axes: B batch, H and W pixels, h and w latent pixels, c channels, R noises, T tokens of a caption, D their
channels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Key

from jaxaudit.attacks.diffusion import NUM_NOISES
from jaxaudit.attacks.diffusion_graph import Cost, Node, Run, Setting, cost, execute, required
from jaxaudit.attacks.diffusion_measurements import VelocityError
from jaxaudit.attacks.diffusion_nodes import Evaluation, Noised
from jaxaudit.attacks.registry import Kind, Score, ScorePlan
from jaxaudit.attacks.step import Outputs, Rows, Step, no_null_context
from jaxaudit.errors import InputError
from jaxaudit.runtime.flops import count_flops
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import DiffusionFunctions, DiffusionTarget, Params
from jaxaudit_kernels import draws
from jaxaudit_kernels.gradient_masking import denoised_and_gradient
from jaxaudit_kernels.process import Process

_FEWEST_LEVELS = 100  # at which the timesteps of SecMI, 10 of 1,000 apart, are different levels


@dataclasses.dataclass(frozen=True)
class DiffusionStep(Step):
    """See the module."""

    kind: ClassVar[Kind] = "diffusion"

    functions: DiffusionFunctions
    process: Process
    latent_shape: tuple[int, int, int]
    null_label: int | None
    scores: tuple[Score, ...]
    rows: int | None
    options: None = None

    @classmethod
    def of(cls, target: DiffusionTarget, scores: tuple[Score, ...], options: Any) -> DiffusionStep:
        """The step that computes `scores` for a target.

        Raises:
          InputError: if there are options, or the target has too few levels to tell timesteps apart.
        """
        if options is not None:
            given = ", ".join(field.name for field in dataclasses.fields(options))
            raise InputError(f"{given} do not apply to {target.name}: it is a diffusion model.")
        if target.process.num_levels < _FEWEST_LEVELS:
            raise InputError(
                f"{target.name} has {target.process.num_levels} noise levels; scores need "
                f"{_FEWEST_LEVELS}, to tell their timesteps apart."
            )
        rows = rows_at_once(target.platform)
        return cls(target.functions, target.process, target.latent_shape, target.null_label, scores, rows)

    @staticmethod
    def refuse(target: DiffusionTarget, score: Score, *, null_context: bool) -> str | None:
        """Why a target cannot have a score, None if it can."""
        nodes = required(score.inputs, Setting(target.process, NUM_NOISES))
        looks = [node for node in nodes if isinstance(node, Evaluation)]
        if any(look.masked for look in looks) and target.functions.denoise_masked is None:
            return f"{target.name} was not trained with hidden tokens"
        if any(look.null for look in looks):
            if target.context_shape and not null_context:
                return no_null_context(target)
            if not target.context_shape and target.null_label is None:
                why = "has no null label" if target.num_classes else "is unconditional"
                return f"{target.name} {why}"
        predicts_velocity = target.process.predicts_velocity
        if not predicts_velocity and any(isinstance(node, VelocityError) for node in nodes):
            return f"{target.name} predicts no velocity"
        size = target.preprocessing.image_size
        in_pixels = target.latent_shape == (size, size, 3)
        if in_pixels and any(node.reads_autoencoder for node in nodes):
            return f"{target.name} has no autoencoder"
        return None

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Outputs:
        """See the module.

        Raises:
          InputError: if there are latents and a score looks at images, or fewer noises than a score needs.
        """
        given = batch["noise"].shape[1] if "noise" in batch else None
        for score in self.scores:
            nodes = required(score.inputs, Setting(self.process, given or NUM_NOISES))
            if "latents" in batch and any(node.reads_images for node in nodes):
                raise InputError(f"Score {score.name} is measured on images; latents are not enough.")
            if given is not None and (wanted := _num_noises(nodes)) > given:
                raise InputError(f"Score {score.name} needs {wanted} noises, not {given}.")
        names = tuple(batch)
        results = map_rows(
            lambda *rows: self._results(inputs, dict(zip(names, rows, strict=True))),
            *batch.values(),
            rows=self.rows,
        )
        return {"tokens": None, **results}

    def _results(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> dict[str, Any]:
        """Scores, and features of fitted scores; a model that generates no tokens has no steps."""
        plan, wanted = ScorePlan(self.scores), [node for score in self.scores for node in score.inputs]
        known = execute(wanted, self._run(inputs, batch))
        return {"scores": plan.device(known), "features": plan.features(known, tokens_per_step=())}

    def _run(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Run:
        params, key = inputs
        functions, labels, images = self.functions, batch.get("condition"), batch.get("images")
        keys = draws.image_keys(key, batch["ids"])
        setting = self._setting
        if "noise" in batch:
            noises = rearrange(batch["noise"], "b r h w c -> r b h w c")
            setting = dataclasses.replace(setting, num_noises=len(noises))
        else:
            wanted = required(ScorePlan(self.scores).inputs, setting)
            noises = draws.noises(keys, max(NUM_NOISES, _num_noises(wanted)), self.latent_shape)
        masked = functions.denoise_masked
        null = batch.get("null")
        if self.null_label is not None and labels is not None:
            null = jnp.full_like(labels, self.null_label)
        return Run(
            setting=setting,
            denoise=functools.partial(functions.denoise, params),
            denoise_masked=None if masked is None else functools.partial(masked, params, key=keys),
            denoise_by=lambda weights, *inputs: functions.denoise({**params, "generator": weights}, *inputs),
            weights=params["generator"],
            encode=functools.partial(functions.encode, params),
            decode=functools.partial(functions.decode, params),
            reconstruct=functools.partial(functions.reconstruct or functions.decode, params),
            keys=keys,
            images=images,
            latents=batch["latents"] if images is None else functions.encode(params, images),
            noises=noises,
            random_level=draws.levels(keys, 1, 1, self.process.num_levels)[0, :, 0],
            condition=labels,
            null=null,
        )

    def evaluations(self) -> dict[str, Cost]:
        """Evaluations of the network for one image.

        "planned": what the step does; "naive": the sum over the scores, each computed alone.
        """
        return {
            "planned": cost(ScorePlan(self.scores).inputs, self._setting),
            "naive": sum((self._cost(score) for score in self.scores), Cost()),
        }

    def passes(self) -> dict[str, int]:
        """By the nodes that a score needs."""
        return {score.name: self._cost(score).passes for score in self.scores}

    @property
    def _setting(self) -> Setting:
        return Setting(self.process, NUM_NOISES)

    def _cost(self, score: Score) -> Cost:
        return cost(score.inputs, self._setting)

    def flops(self, inputs: Any, batch: Mapping[str, Any]) -> int:
        """Floating-point operations for a batch, as `count_flops` does, of `evaluations()["planned"]`."""
        params, _ = inputs
        functions, size = self.functions, len(batch["ids"])
        latents = jax.ShapeDtypeStruct((size, *self.latent_shape), jnp.float32)
        index, condition = jnp.zeros(size, jnp.int32), batch.get("condition")

        def gradient(params: Any, z: Any, condition: Any) -> Any:
            denoise = functools.partial(functions.denoise, params)
            return denoised_and_gradient(denoise, z, index, condition, z)

        def forward(params: Any, z: Any, condition: Any) -> Any:
            return functions.denoise(params, z, index, condition)

        def weight_gradient(params: Any, z: Any, condition: Any) -> Any:
            def total(weights: Any) -> Array:
                return jnp.sum(forward({**params, "generator": weights}, z, condition).eps)

            return jax.grad(total)(params["generator"])

        def decoder_gradient(params: Any, z: Any) -> Any:
            decode = functools.partial(functions.reconstruct or functions.decode, params)
            return jax.grad(lambda z: jnp.sum(decode(z)))(z)

        planned = self.evaluations()["planned"]
        per_pass = {
            "forwards": (forward, latents, condition),
            "gradients": (gradient, latents, condition),
            "weight_gradients": (weight_gradient, latents, condition),
            "encodings": (functions.encode, batch.get("images")),
            "decodings": (functions.decode, latents),
            "decoder_gradients": (decoder_gradient, latents),
        }
        if "images" in batch:
            planned += Cost(encodings=1)
        return sum(
            number * count_flops(function, params, *arguments)
            for name, (function, *arguments) in per_pass.items()
            if (number := getattr(planned, name))
        )


def _num_noises(nodes: Iterable[Node]) -> int:
    """How many noises there must be for these nodes."""
    return max((node.noise + 1 for node in nodes if isinstance(node, Noised)), default=0)
