"""Which step a target gets: the one place where scoring asks for its kind."""

from __future__ import annotations

from collections.abc import Iterable

from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.continuous_step import ContinuousStep
from jaxaudit.attacks.diffusion_step import DiffusionStep
from jaxaudit.attacks.discrete_step import DiscreteStep
from jaxaudit.attacks.registry import Access, Kind, Score, get_scores
from jaxaudit.attacks.step import Step
from jaxaudit.targets import Target

STEPS: dict[Kind, type[Step]] = {
    "discrete": DiscreteStep,
    "continuous": ContinuousStep,
    "diffusion": DiffusionStep,
}
"""The step of each kind of target."""


def make_step(
    target: Target,
    names: str | Iterable[str],
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

    return step.of(target, get_scores(names, kind=step.kind, refused=refused), options)
