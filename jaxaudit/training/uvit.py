"""Trains a U-ViT target on pixels, see `jaxaudit.training.denoiser`.

Axes: N training images, H and W pixels.
"""

from __future__ import annotations

import os

import numpy as np
from jaxtyping import Float32, Int32

from jaxaudit.models.uvit import TRAINING, UViT, UViTConfig
from jaxaudit.training.denoiser import DenoiserRecipe, pixel_shape, train_denoiser
from jaxaudit.training.loop import Params, Schedule
from jaxaudit.training.stages import Progress, check_sizes


def small_recipe(
    image_size: int, num_classes: int, *, width: int = 96, depth: int = 2, generator_steps: int = 8000
) -> DenoiserRecipe:
    """A recipe for a small U-ViT; with the defaults and 8 px digits, the one behind `digits_uvit`.

    Args:
      image_size: pixels per side, a power of two from 8.
      num_classes: of the labels.
      width, depth: of the transformer; `width` a multiple of 32, `depth` even, without the middle block.
      generator_steps: optimiser steps of 64 images each; their number decides how much is memorised.

    Raises:
      InputError: if a size does not fit.
    """
    check_sizes(image_size, width)
    return DenoiserRecipe(
        generator=UViTConfig(
            num_classes=num_classes,
            depth=depth,
            width=width,
            num_heads=width // 32,
            **pixel_shape(image_size),
        ),
        generator_schedule=Schedule(generator_steps, 64, learning_rate=2e-3),
    )


def train(
    recipe: DenoiserRecipe,
    images: Float32[np.ndarray, "N H W 3"],
    labels: Int32[np.ndarray, " N"],
    *,
    directory: str | os.PathLike,
    seed: int = 0,
    progress: Progress = lambda stage, step, steps, metrics: None,
) -> Params:
    """Trains the transformer; a run that was killed goes on from its last checkpoint.

    Args:
      recipe: what to train and how.
      images: in [-1, 1]. labels: 0 .. num_classes - 1.
      directory: keeps checkpoints and the loss curve.
      seed: of initial weights, order of the images, dropped labels, times and noises.
      progress: see `Progress`.

    Returns:
      The parameters {"generator": ...}.
    """
    network = UViT(recipe.generator)
    return train_denoiser(
        network, TRAINING, recipe, images, labels, directory=directory, seed=seed, progress=progress
    )
