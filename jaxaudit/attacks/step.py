"""What a step is: the program that turns a batch of pictures into what scores are made of.

A step is a value: the pure functions and facts of a target, the scores asked for, and options. Steps that are
equal share their compiled program. Called inside jit with (params, key) and a batch

    images [B,H,W,3]    in the target's range; or latents, for targets that have them
    condition           what the images are conditioned on: classes [B] or embeddings of captions [B,T,D];
                        absent for an unconditional target
    null                what stands for no condition, alike, for a model of captions
    ids    [B] uint32   a number that stays with the picture, from which its random draws follow

it returns, row by row independent,

    tokens              of the pictures [B,L], or latents [B,L,D]; for host scores, None without
    scores              {name: [B]} of device scores
    features            {fitted score: {feature: [B]}}

There is one for each kind of target: `discrete_step`, `continuous_step` and `diffusion_step`; `step_by_kind`
picks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from einops import rearrange
from jaxtyping import Array, Key, Shaped

from jaxaudit.attacks.diffusion_graph import Cost
from jaxaudit.attacks.registry import Kind, Score
from jaxaudit.runtime.flops import count_flops
from jaxaudit.targets import Params

Rows = Mapping[str, Array]
"""Arrays of a batch, one row of each per picture."""

Outputs = dict[str, Any]


class Step:
    """What steps have in common. Subclasses are frozen dataclasses.

    Attributes:
      kind: of the targets they are for.
      functions: the target's.
      scores: in order.
      options: how stochastic scores are measured.
    """

    kind: ClassVar[Kind]
    functions: Any
    scores: tuple[Score, ...]
    options: Any

    @classmethod
    def of(cls, target: Any, scores: tuple[Score, ...], options: Any) -> Step:
        """The step that computes `scores` for a target of its kind.

        Raises:
          InputError: if the options do not fit the target.
        """
        raise NotImplementedError

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> Outputs:
        """See the module."""
        raise NotImplementedError

    @staticmethod
    def refuse(target: Any, score: Score, *, null_context: bool) -> str | None:
        """Why a target cannot have a score of its kind, None if it can.

        `null_context`: whether the embedding of the empty caption is known.
        """
        return None

    def evaluations(self) -> dict[str, Cost] | None:
        """How often the network looks at an image, None for kinds where that says little."""
        return None

    def passes(self) -> dict[str, int]:
        """{score: passes through the network, forward or backward, that it takes for one image on its own}.

        Heads beside the network, and an autoencoder, are not counted: they are small beside it.
        """
        raise NotImplementedError

    def flops(self, inputs: tuple[Params, Any], batch: Mapping[str, Any]) -> int:
        """Floating-point operations of matrix products and convolutions that a batch takes.

        `inputs` and `batch` are those of a call, or `jax.ShapeDtypeStruct`s of their shapes.
        """
        return count_flops(self, inputs, batch)


def no_null_context(target: Any) -> str:
    """Why a model of captions cannot have a score that compares with no caption, where that is not known."""
    return (
        f"{target.name} reads captions, and null_context, that of none, is not given (sources have it as "
        "null_embedding)"
    )


def side_by_side(*views: Shaped[Array, " B *rest"]) -> Shaped[Array, " VB *rest"]:
    """The V views of a picture next to each other, so that rows spread over devices stay where they are."""
    return rearrange(list(views), "v b ... -> (b v) ...")
