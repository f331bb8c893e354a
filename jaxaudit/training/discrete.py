"""Trains a model of discrete tokens: first the tokenizer, then the transformer on its tokens.

    tokenizer:    mean (x − x̂)² + what its quantiser costs                                    (1)
    transformer:  − mean log p(t_n | what it has seen of the image, c); c is replaced by the null label with
                  probability `label_dropout`                                                 (2)

The perceptual and adversarial losses of released tokenizers are left out.

Axes: N training images, B batch, H and W pixels, L tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from jaxaudit.errors import InputError
from jaxaudit.families.wiring import read_configs
from jaxaudit.models.forward import forward
from jaxaudit.training.loop import Examples, Params, Schedule, TrainingBatch
from jaxaudit.training.stages import Recipe, check_sizes, drop_conditions, encode_all
from jaxaudit.training.tokens import Stages, TokenTrainer


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the networks of a small model are built from.

    Attributes:
      side: tokens per side. levels: of the tokenizer, each half the size of the one before.
      num_classes: of the labels. vocab_size: codes of the tokenizer.
      width, depth: of the transformer.
    """

    side: int
    levels: int
    num_classes: int
    vocab_size: int
    width: int
    depth: int


@dataclasses.dataclass(frozen=True, eq=False)
class DiscreteTrainer(TokenTrainer[Recipe]):
    """How a family of models of discrete tokens is trained.

    Attributes:
      recipe: the family's `Recipe`.
      configs: sizes -> configs of tokenizer and transformer.
      config_types: the classes of the two.
      networks: the classes of the modules that these are configs of.
      reconstruct: (bound tokenizer, images [B,H,W,3]) -> (x̂ [B,H,W,3], not clamped, the second term of (1)).
      read: (bound tokenizer, tokens [B,L]) -> what the transformer reads where it predicts them.
      width, generator_steps: of a small model, by default.
    """

    recipe: type[Recipe]
    configs: Callable[[Sizes], tuple[Any, Any]]
    config_types: tuple[type, type]
    networks: tuple[type[nn.Module], type[nn.Module]]
    reconstruct: Callable[[Any, Float[Array, "B H W 3"]], tuple[Float[Array, "B H W 3"], Float[Array, ""]]]
    read: Callable[[Any, Array], Array]
    width: int
    generator_steps: int

    def small_recipe(
        self,
        image_size: int,
        num_classes: int,
        *,
        width: int | None = None,
        depth: int = 2,
        vocab_size: int = 32,
        tokenizer_steps: int = 500,
        generator_steps: int | None = None,
    ) -> Recipe:
        """A recipe for a small model; with the defaults and 8 px digits, the one behind the built-in target.

        The number of generator steps decides how much is memorised: at the default of RAR each digit was seen
        26 times, at that of VAR 30 times.

        Args:
          image_size: pixels per side, a power of two from 8.
          num_classes: of the labels.
          width, depth: of the transformer; `width` a multiple of 32. None is the family's default.
          vocab_size: codes of the tokenizer.
          tokenizer_steps, generator_steps: optimiser steps of the two stages, 64 images each; None is the
            family's default.

        Raises:
          InputError: if a size does not fit.
        """
        width = self.width if width is None else width
        check_sizes(image_size, width)
        side = min(image_size, 16)
        levels = (image_size // side).bit_length()
        tokenizer, generator = self.configs(Sizes(side, levels, num_classes, vocab_size, width, depth))
        steps = self.generator_steps if generator_steps is None else generator_steps
        return self.recipe(
            tokenizer=tokenizer,
            generator=generator,
            tokenizer_schedule=Schedule(tokenizer_steps, 64, learning_rate=3e-3, weight_decay=0.01),
            generator_schedule=_schedule(steps),
        )

    def fine_tuning_recipe(self, config: Mapping[str, Any], *, generator_steps: int | None = None) -> Recipe:
        """A recipe that trains the generator of a target further, see `jaxaudit.training`.

        Raises:
          InputError: if the target is told captions.
        """
        of_tokenizer, of_generator = self.config_types
        generator, tokenizer = read_configs(config, of_generator, of_tokenizer)
        if not generator.num_classes:
            raise InputError(
                "Of models of tokens only those of classes can be trained further, not of captions."
            )
        steps = self.generator_steps if generator_steps is None else generator_steps
        schedule = _schedule(steps)
        return self.recipe(tokenizer=tokenizer, generator=generator, generator_schedule=schedule)

    def stages(self, recipe: Recipe) -> Stages:
        """(1) and (2) for the networks of a recipe."""
        tokenizer, generator = (
            network(config)
            for network, config in zip(self.networks, (recipe.tokenizer, recipe.generator), strict=True)
        )

        def reconstruction_loss(
            params: Params, batch: TrainingBatch, key: Key[Array, ""]
        ) -> tuple[Array, dict[str, Array]]:
            del key
            images = batch["images"]
            reconstructed, quantisation = forward(tokenizer, params, images, method=self.reconstruct)
            error = jnp.square(reconstructed - images).mean()
            return error + quantisation, {"reconstruction": error, "quantisation": quantisation}  # (1)

        def encode(params: Params, images: np.ndarray) -> Examples:
            def encode_some(params: Params, images: Array) -> dict[str, Array]:
                tokens = forward(tokenizer, params, images, method="encode")
                return {"tokens": tokens, "inputs": forward(tokenizer, params, tokens, method=self.read)}

            return encode_all(encode_some, params, images)

        def likelihood_loss(
            params: Params, batch: TrainingBatch, key: Key[Array, ""]
        ) -> tuple[Array, dict[str, Array]]:
            labels = drop_conditions(key, batch["labels"], recipe.label_dropout, recipe.generator.num_classes)
            logits = forward(generator, params, batch["inputs"], labels)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["tokens"])
            return losses.mean(), {}  # (2)

        return Stages(
            tokenizer,
            generator,
            reconstruction_loss,
            lambda params, images: params,
            encode,
            likelihood_loss,
            lambda example: (example["inputs"], example["labels"]),
        )


def _schedule(steps: int) -> Schedule:
    return Schedule(steps, 64, learning_rate=4e-3, final_rate=1.0)
