"""Trains a model of tokens: first its tokenizer, then its generator on what the tokenizer makes of images.

Axes: N training images, H and W pixels.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float32, Int32

from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.training.loop import Examples, LossFunction, Params
from jaxaudit.training.stages import Recipe, claim_training, fit_stage

_Recipe = TypeVar("_Recipe", bound=Recipe)


@dataclasses.dataclass(frozen=True, eq=False)
class Stages:
    """The two networks of a recipe and what they are trained for.

    Attributes:
      tokenizer, generator: the networks.
      tokenizer_loss: on examples {"images"}.
      encode: (parameters of the trained tokenizer, images [N,H,W,3]) -> (those that are kept, examples
        {name: [N,...]} of what the generator learns).
      generator_loss: on these examples and their {"labels"}.
      generator_inputs: the example of one image -> what the generator is called with.
    """

    tokenizer: nn.Module
    generator: nn.Module
    tokenizer_loss: LossFunction
    encode: Callable[[Params, np.ndarray], tuple[Params, Examples]]
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
        images: Float32[np.ndarray, "N H W 3"],
        labels: Int32[np.ndarray, " N"],
        *,
        directory: str | os.PathLike,
        seed: int = 0,
        progress: Progress = silent,
    ) -> dict[str, Params]:
        """Trains both networks; a run that was killed goes on from its last checkpoint.

        Args:
          recipe: what to train and how.
          images: in the range of `recipe.preprocessing`. labels: 0 .. num_classes - 1.
          directory: keeps checkpoints and loss curves of both stages.
          seed: of initial weights, order of the images, dropped labels, and whatever else a loss draws.
          progress: hears of steps, with the loss.

        Returns:
          The parameters {"generator": ..., "tokenizer": ...}.

        Raises:
          InputError: if the directory holds another run.
        """
        claim_training(directory, recipe, images, labels, seed)
        stages = self.stages(recipe)
        keys = jax.random.split(jax.random.key(seed))

        def initial(network: nn.Module, key: Array, *inputs: Any) -> Params:
            return jax.jit(network.init)(key, *inputs)["params"]

        assert recipe.tokenizer_schedule is not None, "a model of tokens has a tokenizer"
        tokenizer_params = fit_stage(
            "tokenizer",
            stages.tokenizer_loss,
            initial(stages.tokenizer, keys[0], images[:1]),
            {"images": images},
            recipe.tokenizer_schedule,
            directory=directory,
            seed=seed,
            progress=progress,
        )
        tokenizer_params, encoded = stages.encode(tokenizer_params, images)
        examples = {**encoded, "labels": labels}
        first = {name: values[:1] for name, values in examples.items()}
        generator_params = fit_stage(
            "generator",
            stages.generator_loss,
            initial(stages.generator, keys[1], *stages.generator_inputs(first)),
            examples,
            recipe.generator_schedule,
            directory=directory,
            seed=seed,
            progress=progress,
        )
        return {"generator": generator_params, "tokenizer": tokenizer_params}
