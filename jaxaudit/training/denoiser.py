"""Trains a diffusion or flow target in pixel space.

    mean over pixels of (o − ô)², o what the process says the network predicts: noise, v, a velocity     (1)
    DiT:  + vb, the bound that trains the variance of the reverse step                                  (2)

at a uniform level of the process (`jaxaudit_kernels.learned_variance.training_losses`).
c is replaced by the null label with probability `label_dropout`. There is no autoencoder: small pictures are
their own latents, so everything that is learned of them is in the network that is audited.

Sources: Bao et al. 2023 (arXiv 2209.12152), §4, for (1) of noise; Peebles & Xie 2023 (arXiv 2212.09748), §3,
for (2); Ma et al. 2024 (arXiv 2401.08740), §2, for (1) of a velocity.

Axes: N training images, B batch, H and W pixels.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Key

from jaxaudit.models.forward import forward
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.training.loop import Params, Schedule, TrainingBatch
from jaxaudit.training.stages import Recipe, check_sizes, claim_training, drop_labels, fit_stage
from jaxaudit_kernels.learned_variance import training_losses
from jaxaudit_kernels.process import add_noise, network_input, noise_levels
from jaxaudit_kernels.processes import declared

_CHANNELS = 3


@dataclasses.dataclass(frozen=True, eq=False)
class DenoiserTrainer:
    """How a family of diffusion or flow models is trained in pixel space.

    Attributes:
      config: the network's config class.
      network: config -> module that maps (x, time, labels) to what the process says that it predicts, and
        the learned variance, if there is one.
      process: declares the one it is trained on, unless the recipe names another.
      depth: of a small model, by default.
    """

    config: type
    network: Callable[[Any], nn.Module]
    process: Mapping[str, Any]
    depth: int

    def small_recipe(
        self,
        image_size: int,
        num_classes: int,
        *,
        width: int = 96,
        depth: int | None = None,
        generator_steps: int = 8000,
        process: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """A recipe for a small model; with the defaults and 8 px digits, the one behind the built-in target.

        Args:
          image_size: pixels per side, a power of two from 8.
          num_classes: of the labels.
          width: of the transformer, a multiple of 32.
          depth: its blocks (U-ViT: even, without the middle one); None is the family's default.
          generator_steps: optimiser steps of 64 images each; their number decides how much is memorised.
          process: what is trained to be undone (`jaxaudit_kernels.processes.declared`); None is the family's.

        Raises:
          InputError: if a size does not fit.
        """
        check_sizes(image_size, width)
        return Recipe(
            generator=self.config(
                num_classes=num_classes,
                depth=self.depth if depth is None else depth,
                width=width,
                num_heads=width // 32,
                latent_size=image_size,
                latent_channels=_CHANNELS,
                patch_size=max(2, image_size // 16),  # 16 tokens or more
            ),
            generator_schedule=Schedule(generator_steps, 64, learning_rate=2e-3),
            process=process,
        )

    def train(
        self,
        recipe: Recipe,
        images: Float32[np.ndarray, "N H W 3"],
        labels: Int32[np.ndarray, " N"],
        *,
        directory: str | os.PathLike,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Params:
        """Trains the network; a run that was killed goes on from its last checkpoint.

        Args:
          recipe: what to train and how.
          images: in [-1, 1]. labels: 0 .. num_classes - 1.
          directory: keeps checkpoints and the loss curve.
          seed: of initial weights, order of the images, dropped labels, times and noises.
          progress: hears of steps, with the loss.

        Returns:
          The parameters {"generator": ...}.
        """
        claim_training(directory, recipe, images, labels, seed)
        network, process = self.network(recipe.generator), declared(recipe.process or self.process)
        config = recipe.generator
        keys = jax.random.split(jax.random.key(seed))

        def denoising_loss(
            params: Params, batch: TrainingBatch, key: Key[Array, ""]
        ) -> tuple[Array, dict[str, Array]]:
            label_key, level_key, noise_key = jax.random.split(key, 3)
            clean = batch["images"]
            labels = drop_labels(label_key, batch["labels"], recipe.label_dropout, config.num_classes)
            index = jax.random.randint(level_key, (len(clean),), 0, process.num_levels)
            noise = jax.random.normal(noise_key, clean.shape)
            noised = add_noise(clean, noise_levels(process, index), noise)
            output = forward(network, params, *network_input(process, noised, index), labels)
            losses = training_losses(process, output, clean, index, noise)
            return losses["loss"].mean(), {"mse": losses["mse"].mean()}

        generator_params = fit_stage(
            "generator",
            denoising_loss,
            jax.jit(network.init)(keys[0], images[:1], jnp.zeros(1), labels[:1])["params"],
            {"images": images, "labels": labels},
            recipe.generator_schedule,
            directory=directory,
            seed=seed,
            progress=progress,
        )
        return {"generator": generator_params}
