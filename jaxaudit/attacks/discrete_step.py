"""The step of a `DiscreteTarget`: from a batch of pictures to the scores of discrete tokens.

    tokens ← encode(images);  hidden ← generator(tokens, [condition, null condition]) as one batch;
    statistics → scores, logits existing for a few tokens at a time

The null condition is the null label, or of a model of captions the batch's "null".

Axes: B batch, L tokens, D channels of a hidden state, V conditions.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Int, Key

from jaxaudit.attacks.registry import Kind, Score, ScorePlan
from jaxaudit.attacks.step import Outputs, Rows, Step, no_null_context, side_by_side
from jaxaudit.errors import InputError
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget, Params
from jaxaudit_kernels.likelihood import TokenStatistics, chunked_token_statistics, guided_token_statistics


@dataclasses.dataclass(frozen=True)
class DiscreteStep(Step):
    """See the module. It draws nothing."""

    kind: ClassVar[Kind] = "discrete"

    functions: DiscreteFunctions
    null_label: int | None
    tokens_per_step: tuple[int, ...]
    scores: tuple[Score, ...]
    options: None = None

    @classmethod
    def of(cls, target: DiscreteTarget, scores: tuple[Score, ...], options: Any) -> DiscreteStep:
        """The step that computes `scores` for a target.

        Raises:
          InputError: if there are options.
        """
        if options is not None:
            given = ", ".join(field.name for field in dataclasses.fields(options))
            raise InputError(f"{given} do not apply to {target.name}: its tokens are discrete.")
        return cls(target.functions, target.null_label, target.tokens_per_step, scores)

    @staticmethod
    def refuse(target: DiscreteTarget, score: Score, *, null_context: bool) -> str | None:
        """Why a target cannot have a score, None if it can."""
        if target.context_shape and not null_context and ScorePlan((score,)).inputs != {"cond"}:
            return no_null_context(target)
        return None

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Outputs:
        """See the module."""
        params, _ = inputs
        plan = ScorePlan(self.scores)
        tokens = self.functions.encode(params, batch["images"])
        statistics = self._statistics(params, tokens, batch, plan.inputs)
        return {
            "tokens": tokens,
            "scores": plan.device(statistics),
            "features": plan.features(statistics, self.tokens_per_step),
        }

    def passes(self) -> dict[str, int]:
        """One, or with the null condition two."""
        alone = {score.name: ScorePlan((score,)).inputs for score in self.scores}
        return {name: 1 if views == {"cond"} else 2 for name, views in alone.items()}

    def _statistics(
        self, params: Params, tokens: Int[Array, "B L"], batch: Rows, views: frozenset[str]
    ) -> dict[str, TokenStatistics]:
        """The token statistics of the `views`; the null condition is evaluated only where one needs it."""
        kernel, bias = self.functions.head(params)
        condition = batch["condition"]
        if views == {"cond"}:
            hidden = self.functions.hidden(params, tokens, condition)
            return {"cond": chunked_token_statistics(hidden, kernel, bias, tokens)}
        null = batch["null"] if self.null_label is None else jnp.full_like(condition, self.null_label)
        both = side_by_side(condition, null)
        hidden = self.functions.hidden(params, side_by_side(tokens, tokens), both)
        hidden = rearrange(hidden, "(b v) l d -> b v l d", v=2)
        return guided_token_statistics(hidden[:, 0], hidden[:, 1], kernel, bias, tokens)
