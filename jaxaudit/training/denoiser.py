"""Trains a diffusion or flow target in pixel space.

    mean over pixels of (o − ô)², o what the process says the network predicts: noise, v, a velocity     (1)
    DiT:  + vb, the bound that trains the variance of the reverse step                                  (2)

at a uniform level of the process (`jaxaudit_kernels.learned_variance.training_losses`).
c, a class or the embedding of a caption, is replaced by the null label or the embedding of the empty caption
with probability `label_dropout`. There is no autoencoder: small pictures are their own latents, so everything
that is learned of them is in the network that is audited.

Sources: Bao et al. 2023 (arXiv 2209.12152), §4, for (1) of noise; Peebles & Xie 2023 (arXiv 2212.09748), §3,
for (2); Ma et al. 2024 (arXiv 2401.08740), §2, for (1) of a velocity.

Axes: B batch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxaudit.configs import from_dict
from jaxaudit.errors import InputError
from jaxaudit.models.forward import forward
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.training.loop import Params, Schedule, TrainingBatch
from jaxaudit.training.private import Privacy
from jaxaudit.training.stages import (
    PictureSet,
    Recipe,
    check_sizes,
    claim_training,
    drop_conditions,
    fit_stage,
)
from jaxaudit_kernels.learned_variance import training_losses
from jaxaudit_kernels.process import add_noise, network_input, noise_levels
from jaxaudit_kernels.processes import declared

CHANNELS = 3
"""Of a pixel."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the network of a small model is built from.

    Attributes:
      image_size: pixels per side.
      num_classes: of the labels, 0 for none.
      context_shape: (T, D) of captions' embeddings, None for none.
      width, depth: channels, and blocks.
    """

    image_size: int
    num_classes: int
    context_shape: tuple[int, int] | None
    width: int
    depth: int

    @property
    def transformer(self) -> dict[str, Any]:
        """The fields that configs of transformers share."""
        return {
            "depth": self.depth,
            "width": self.width,
            "num_heads": self.width // 32,
            "latent_size": self.image_size,
            "latent_channels": CHANNELS,
            "patch_size": max(2, self.image_size // 16),  # 16 tokens or more
        }


@dataclasses.dataclass(frozen=True, eq=False)
class DenoiserTrainer:
    """How a family of diffusion or flow models is trained in pixel space.

    Attributes:
      config: the network's config class.
      network: config -> module that maps (x, time, condition) to what the process says that it predicts, and
        the learned variance, if there is one.
      process: declares the one it is trained on, unless the recipe names another.
      small: shape -> config of a small model.
      width, depth, generator_steps: of a small model, by default.
      batch_size, learning_rate: of a step.
    """

    config: type
    network: Callable[[Any], nn.Module]
    process: Mapping[str, Any]
    small: Callable[[Shape], Any]
    depth: int
    width: int = 96
    generator_steps: int = 8000
    batch_size: int = 64
    learning_rate: float = 2e-3

    def small_recipe(
        self,
        image_size: int,
        num_classes: int,
        *,
        context_shape: tuple[int, int] | None = None,
        width: int | None = None,
        depth: int | None = None,
        generator_steps: int | None = None,
        process: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """A recipe for a small model; with the defaults and 8 px digits, the one behind the built-in target.

        Args:
          image_size: pixels per side, a power of two from 8.
          num_classes: of the labels, 0 for a model of captions.
          context_shape: (T, D) of captions' embeddings.
          width: channels of the network, a multiple of 32; None is the family's default.
          depth: its blocks (U-ViT: even, without the middle one); None is the family's default.
          generator_steps: optimiser steps; their number decides how much is memorised. None
            is the family's default.
          process: what is trained to be undone (`jaxaudit_kernels.processes.declared`); None is the family's.

        Raises:
          InputError: if a size does not fit, or the network reads no captions.
        """
        width = self.width if width is None else width
        check_sizes(image_size, width)
        depth = self.depth if depth is None else depth
        steps = self.generator_steps if generator_steps is None else generator_steps
        return Recipe(
            generator=self.small(Shape(image_size, num_classes, context_shape, width, depth)),
            generator_schedule=self._schedule(steps),
            process=process,
        )

    def fine_tuning_recipe(self, config: Mapping[str, Any], *, generator_steps: int | None = None) -> Recipe:
        """A recipe that trains a target of pixels further, see `jaxaudit.training`.

        Raises:
          InputError: if the target has an autoencoder.
        """
        if config["tokenizer"] is not None:
            raise InputError(
                "Only diffusion models of pixels can be trained further; this one has an autoencoder."
            )
        steps = self.generator_steps if generator_steps is None else generator_steps
        return Recipe(
            generator=from_dict(self.config, config["generator"]),
            generator_schedule=self._schedule(steps),
            process=config.get("process"),
        )

    def train(
        self,
        recipe: Recipe,
        pictures: PictureSet,
        *,
        directory: str | os.PathLike,
        seed: int = 0,
        watch: Callable[[int, Params], None] = lambda step, params: None,
        held_out: PictureSet | None = None,
        init: Params | None = None,
        progress: Progress = silent,
        privacy: Privacy | None = None,
    ) -> Params:
        """Trains the network; a run that was killed goes on from its last checkpoint.

        Args:
          recipe: what to train and how.
          pictures: in [-1, 1], with what the network is told about them.
          directory: keeps checkpoints and the loss curve.
          seed: of initial weights, order of the images, dropped conditions, times and noises.
          watch: called after every step of the generator with the steps done and what `train` would return.
          held_out: some that are not trained on, whose loss is told beside.
          init: parameters to begin with, {"generator": ...}.
          progress: hears of steps, with the losses.
          privacy: clips the gradient of every picture and adds noise to their sum; None does neither.

        Returns:
          The parameters {"generator": ...}.

        Raises:
          InputError: if the directory holds another run.
        """
        claim_training(directory, recipe, pictures, seed, init, privacy)
        network, process = self.network(recipe.generator), declared(recipe.process or self.process)
        null = recipe.generator.num_classes if pictures.null is None else jnp.asarray(pictures.null)

        def denoising_loss(
            params: Params, batch: TrainingBatch, key: Key[Array, ""]
        ) -> tuple[Array, dict[str, Array]]:
            drop_key, level_key, noise_key = jax.random.split(key, 3)
            clean = batch["images"]
            told = drop_conditions(drop_key, batch["conditions"], recipe.label_dropout, null)
            index = jax.random.randint(level_key, (len(clean),), 0, process.num_levels)
            noise = jax.random.normal(noise_key, clean.shape)
            noised = add_noise(clean, noise_levels(process, index), noise)
            output = forward(network, params, *network_input(process, noised, index), told)
            losses = training_losses(process, output, clean, index, noise)
            return losses["loss"].mean(), {"mse": losses["mse"].mean()}

        def examples(some: PictureSet) -> dict[str, Any]:
            return {"images": some.images, "conditions": some.conditions}

        def initial() -> Params:
            key = jax.random.split(jax.random.key(seed))[0]
            inputs = pictures.images[:1], jnp.zeros(1), pictures.conditions[:1]
            return jax.jit(network.init)(key, *inputs)["params"]

        generator_params = fit_stage(
            "generator",
            denoising_loss,
            initial() if init is None else init["generator"],
            examples(pictures),
            recipe.generator_schedule,
            directory=directory,
            seed=seed,
            watch=lambda step, params: watch(step, {"generator": params}),
            held_out=None if held_out is None else examples(held_out),
            progress=progress,
            privacy=privacy,
        )
        return {"generator": generator_params}

    def _schedule(self, steps: int) -> Schedule:
        return Schedule(steps, self.batch_size, self.learning_rate)
