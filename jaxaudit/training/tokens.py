"""Trains a model of tokens: first its tokenizer, then its generator on what the tokenizer makes of images.

Axes: N images.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array

from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.training.loop import Examples, LossFunction, Params
from jaxaudit.training.private import Privacy
from jaxaudit.training.stages import PictureSet, Recipe, claim_training, fit_stage

_Recipe = TypeVar("_Recipe", bound=Recipe)


@dataclasses.dataclass(frozen=True, eq=False)
class Stages:
    """The two networks of a recipe and what they are trained for.

    Attributes:
      tokenizer, generator: the networks.
      tokenizer_loss: on examples {"images"}.
      settle: (parameters of the trained tokenizer, images [N,H,W,3]) -> those that are kept.
      encode: (these, images [N,H,W,3]) -> examples {name: [N,...]} of what the generator learns.
      generator_loss: on these examples and their {"labels"}.
      generator_inputs: the example of one image -> what the generator is called with.
    """

    tokenizer: nn.Module
    generator: nn.Module
    tokenizer_loss: LossFunction
    settle: Callable[[Params, np.ndarray], Params]
    encode: Callable[[Params, np.ndarray], Examples]
    generator_loss: LossFunction
    generator_inputs: Callable[[Examples], tuple[Any, ...]]


class TokenTrainer(Generic[_Recipe]):
    """How a family of models of tokens is trained: a subclass says what the `stages` are."""

    def stages(self, recipe: _Recipe) -> Stages:
        """What a recipe asks for."""
        raise NotImplementedError

    def train(
        self,
        recipe: _Recipe,
        pictures: PictureSet,
        *,
        directory: str | os.PathLike,
        seed: int = 0,
        watch: Callable[[int, Params], None] = lambda step, params: None,
        held_out: PictureSet | None = None,
        init: Params | None = None,
        progress: Progress = silent,
        privacy: Privacy | None = None,
    ) -> dict[str, Params]:
        """Trains both networks; a run that was killed goes on from its last checkpoint.

        Args:
          recipe: what to train and how.
          pictures: in the range of `recipe.preprocessing`, with their classes.
          directory: keeps checkpoints and loss curves of both stages.
          seed: of initial weights, order of the images, dropped labels, and whatever else a loss draws.
          watch: called after every step of the generator with the steps done and what `train` would return.
          held_out: some that are not trained on, whose loss is told beside.
          init: parameters to begin with, {"generator": ..., "tokenizer": ...}; this tokenizer stays as it is,
            and without a generator a new one is trained on its tokens.
          progress: hears of steps, with the losses.
          privacy: clips the gradient of every picture and adds noise to their sum; None does neither.

        Returns:
          The parameters {"generator": ..., "tokenizer": ...}.

        Raises:
          InputError: if the directory holds another run.
        """
        claim_training(directory, recipe, pictures, seed, init, privacy)
        stages = self.stages(recipe)
        keys = jax.random.split(jax.random.key(seed))
        fit_some = functools.partial(
            fit_stage, directory=directory, seed=seed, progress=progress, privacy=privacy
        )

        def initial(network: nn.Module, key: Array, *inputs: Any) -> Params:
            return jax.jit(network.init)(key, *inputs)["params"]

        if init is None:
            assert recipe.tokenizer_schedule is not None, "a model of tokens has a tokenizer"
            tokenizer_params = fit_some(
                "tokenizer",
                stages.tokenizer_loss,
                initial(stages.tokenizer, keys[0], pictures.images[:1]),
                {"images": pictures.images},
                recipe.tokenizer_schedule,
                held_out=None if held_out is None else {"images": held_out.images},
            )
            tokenizer_params = stages.settle(tokenizer_params, pictures.images)
        else:
            tokenizer_params = init["tokenizer"]

        def examples(some: PictureSet) -> Examples:
            return {**stages.encode(tokenizer_params, some.images), "labels": some.conditions}

        data = examples(pictures)
        if init is None or "generator" not in init:
            first = {name: values[:1] for name, values in data.items()}
            beginning = initial(stages.generator, keys[1], *stages.generator_inputs(first))
        else:
            beginning = init["generator"]
        generator_params = fit_some(
            "generator",
            stages.generator_loss,
            beginning,
            data,
            recipe.generator_schedule,
            watch=lambda step, params: watch(step, {"generator": params, "tokenizer": tokenizer_params}),
            held_out=None if held_out is None else examples(held_out),
        )
        return {"generator": generator_params, "tokenizer": tokenizer_params}
