"""The step of a `ContinuousTarget`: from a batch of pictures or latents to the scores of continuous tokens.

    latents ← encode(images);  z ← generator(visible latents, [label, null label]) once;
    losses of hidden tokens ← head(z) under R noises, one after the other → scores

On a CPU all of it is done for one image at a time (`jaxaudit.runtime.rows`).

Axes: B batch, L tokens, M hidden tokens, R noises, D channels, V conditions (label, null label).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, Int, Key

from jaxaudit.attacks.continuous import TRAINING, MaskedLossConfig, published_losses
from jaxaudit.attacks.registry import Kind, Score, ScorePlan
from jaxaudit.attacks.step import Outputs, Rows, Step, side_by_side
from jaxaudit.errors import InputError
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import ContinuousFunctions, ContinuousTarget, Params
from jaxaudit_kernels import draws


@dataclasses.dataclass(frozen=True)
class ContinuousStep(Step):
    """See the module; `options` say how losses are measured, `rows` how many images at a time (None: all)."""

    kind: ClassVar[Kind] = "continuous"

    functions: ContinuousFunctions
    null_label: int
    num_timesteps: int
    tokens_per_step: tuple[int, ...]
    scores: tuple[Score, ...]
    options: MaskedLossConfig
    rows: int | None

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
        return cls(
            target.functions,
            target.num_classes,
            target.num_timesteps,
            target.tokens_per_step,
            scores,
            options,
            rows_at_once(target.platform),
        )

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Outputs:
        """See the module."""
        names = tuple(batch)
        return map_rows(
            lambda *rows: self._outputs(inputs, dict(zip(names, rows, strict=True))),
            *batch.values(),
            rows=self.rows,
        )

    def passes(self) -> dict[str, int]:
        """Of the transformer, which the head's noises share: one, or with the null label two."""
        alone = {score.name: ScorePlan((score,)).inputs for score in self.scores}
        return {name: 2 if "diff" in views else 1 for name, views in alone.items()}

    def _outputs(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Outputs:
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
            "features": plan.features(views, self.tokens_per_step),
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
        _, length, channels = latents.shape
        count = config.num_hidden(length)
        hidden = draws.hidden_positions(keys, length, count)
        noise = draws.noises(keys, config.num_noises, (count, channels))
        timestep = config.timestep
        if timestep == "random":
            timestep = draws.levels(keys, config.num_noises, count, self.num_timesteps)
        views = len(conditions)
        z = self.functions.conditions(
            params,
            side_by_side(*[latents] * views),
            side_by_side(*conditions),
            side_by_side(*[hidden] * views),
        )
        z = rearrange(z, "(b v) m d -> b v m d", v=views)
        clean = jnp.take_along_axis(latents, hidden[:, :, None], axis=1)
        return hidden, [
            jnp.mean(self.functions.head_losses(params, z[:, i], clean, timestep, noise)["loss"], axis=0)
            for i in range(views)
        ]
