"""The steps of autoregressive targets, and the step of each kind of target; see `jaxaudit.attacks.step`.

    discrete:    tokens ← encode(images);  hidden ← generator(tokens, [label, null label]) as one batch;
                 statistics → scores, logits existing for a few tokens at a time
    continuous:  latents ← encode(images);  z ← generator(visible latents, [label, null label]) once;
                 losses of hidden tokens ← head(z) under R noises, one after the other → scores

Axes: B batch, H and W pixels, L tokens, M hidden tokens, R noises, D channels of a latent, V conditions
(label, null label).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxaudit.attacks.continuous import TRAINING, MaskedLossConfig, published_losses
from jaxaudit.attacks.diffusion_step import DiffusionStep
from jaxaudit.attacks.registry import Access, Kind, Score, ScorePlan, get_scores
from jaxaudit.attacks.step import Batch, Outputs, Step
from jaxaudit.errors import InputError
from jaxaudit.targets import (
    ContinuousFunctions,
    ContinuousTarget,
    DiscreteFunctions,
    DiscreteTarget,
    Params,
)
from jaxaudit_kernels import draws
from jaxaudit_kernels.likelihood import TokenStatistics, chunked_token_statistics, guided_token_statistics


@dataclasses.dataclass(frozen=True)
class DiscreteStep(Step):
    """The step of a `DiscreteTarget`, see the module. It draws nothing."""

    kind: ClassVar[Kind] = "discrete"

    functions: DiscreteFunctions
    null_label: int
    steps: tuple[int, ...]
    scores: tuple[Score, ...]
    options: None = None

    @classmethod
    def of(cls, target: DiscreteTarget, scores: tuple[Score, ...], options: None) -> DiscreteStep:
        """The step that computes `scores` for a target.

        Raises:
          InputError: if there are options.
        """
        if options is not None:
            given = ", ".join(field.name for field in dataclasses.fields(options))
            raise InputError(f"{given} do not apply to {target.name}: its tokens are discrete.")
        return cls(target.functions, target.null_label, target.steps, scores)

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Batch) -> Outputs:
        """See the module."""
        params, _ = inputs
        plan = ScorePlan(self.scores)
        tokens = self.functions.encode(params, batch["images"])
        statistics = self._statistics(params, tokens, batch["condition"], plan.inputs)
        return {
            "tokens": tokens,
            "scores": plan.device(statistics),
            "features": plan.features(statistics, self.steps),
        }

    def _statistics(
        self, params: Params, tokens: Int[Array, "B L"], labels: Int[Array, " B"], views: frozenset[str]
    ) -> dict[str, TokenStatistics]:
        """The token statistics of the `views`; the null label is evaluated only where one needs it."""
        kernel, bias = self.functions.head(params)
        if views == {"cond"}:
            hidden = self.functions.hidden(params, tokens, labels)
            return {"cond": chunked_token_statistics(hidden, kernel, bias, tokens)}
        both = _side_by_side(labels, jnp.full_like(labels, self.null_label))
        hidden = self.functions.hidden(params, jnp.repeat(tokens, 2, axis=0), both)
        hidden = hidden.reshape(len(labels), 2, *hidden.shape[1:])
        return guided_token_statistics(hidden[:, 0], hidden[:, 1], kernel, bias, tokens)


@dataclasses.dataclass(frozen=True)
class ContinuousStep(Step):
    """The step of a `ContinuousTarget`, see the module; `options` say how losses are measured."""

    kind: ClassVar[Kind] = "continuous"

    functions: ContinuousFunctions
    null_label: int
    num_timesteps: int
    steps: tuple[int, ...]
    scores: tuple[Score, ...]
    options: MaskedLossConfig

    @classmethod
    def of(
        cls, target: ContinuousTarget, scores: tuple[Score, ...], options: MaskedLossConfig | None
    ) -> ContinuousStep:
        """The step that computes `scores` for a target; options None are the published attack's.

        Raises:
          InputError: if the target has no such timestep.
        """
        options = options or MaskedLossConfig()
        if options.timestep != "random" and options.timestep >= target.num_timesteps:
            raise InputError(f"Timestep {options.timestep} is not in 0..{target.num_timesteps - 1}.")
        return cls(target.functions, target.null_label, target.num_timesteps, target.steps, scores, options)

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Batch) -> Outputs:
        """See the module."""
        params, key = inputs
        plan = ScorePlan(self.scores)
        labels, latents = batch["condition"], batch.get("latents")
        if latents is None:
            latents = self.functions.encode(params, batch["images"])
        keys = draws.image_keys(key, batch["ids"])
        views = {}
        if plan.inputs & {"cond", "diff", "published"}:
            conditions = [labels]
            if "diff" in plan.inputs:
                conditions.append(jnp.full_like(labels, self.null_label))
            hidden, (cond, *null) = self._losses(params, latents, conditions, keys, self.options)
            num_tokens, num_noises = latents.shape[1], self.options.num_noises
            views["cond"] = cond
            views["published"] = published_losses(cond, hidden, num_tokens, num_noises)
            if null:
                views["diff"] = cond - null[0]
        if "training" in plan.inputs:
            _, (views["training"],) = self._losses(params, latents, [labels], keys, TRAINING)
        return {
            "tokens": latents,
            "scores": plan.device(views),
            "features": plan.features(views, self.steps),
        }

    def _losses(
        self,
        params: Params,
        latents: Float[Array, "B L D"],
        conditions: list[Int[Array, " B"]],
        keys: Key[Array, " B"],
        config: MaskedLossConfig,
    ) -> tuple[Int[Array, "B M"], list[Float[Array, "B M"]]]:
        """The hidden positions, and the mean loss of the token at each, given each of the conditions."""
        batch, length, channels = latents.shape
        count = config.num_hidden(length)
        hidden = draws.hidden_positions(keys, length, count)
        noise = draws.noises(keys, config.num_noises, (count, channels))
        timestep = config.timestep
        if timestep == "random":
            timestep = draws.timesteps(keys, config.num_noises, count, self.num_timesteps)
        repeated = [jnp.repeat(array, len(conditions), axis=0) for array in (latents, hidden)]
        z = self.functions.conditions(params, repeated[0], _side_by_side(*conditions), repeated[1])
        z = z.reshape(batch, len(conditions), *z.shape[1:])
        clean = jnp.take_along_axis(latents, hidden[:, :, None], axis=1)
        return hidden, [
            jnp.mean(self.functions.head_losses(params, z[:, i], clean, timestep, noise)["loss"], axis=0)
            for i in range(len(conditions))
        ]


STEPS: dict[Kind, type[Step]] = {
    "discrete": DiscreteStep,
    "continuous": ContinuousStep,
    "diffusion": DiffusionStep,
}
"""The step of each kind of target."""


def make_step(
    target: Any,
    names: Any,
    options: MaskedLossConfig | None = None,
    *,
    access: Access = "white-box",
    null_context: bool = False,
) -> Step:
    """The step that computes the scores `names` for a target; see `get_scores` and the steps' `of`.

    Scores that need more than `access`, or something that the target or the caller does not have, are left
    out of words and patterns. `null_context` says whether batches hold the empty caption's embedding.

    Raises:
      InputError: for unknown names, scores that cannot be had, or options that do not fit.
    """
    step = STEPS[target.kind]

    def refused(score: Score) -> str | None:
        if score.access == "white-box" and access == "gray-box":
            return "it needs the model's gradients, white-box access"
        return step.refuse(target, score, null_context=null_context)

    return step.of(target, get_scores(names, step.kind, refused=refused), options)


def _side_by_side(*labels: Int[Array, " B"]) -> Int[Array, " V*B"]:
    """The labels of an image next to each other, so that a batch spread over devices stays where it is."""
    return jnp.stack(labels, axis=1).reshape(-1)
