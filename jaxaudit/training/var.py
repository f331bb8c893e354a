"""Trains a VAR target: first the tokenizer, then the transformer on its tokens.

    tokenizer:    mean (x − x̂)² + codebook and commitment losses                              (1)
    transformer:  − mean log p(t_n | smaller scales, c); c is replaced by the null label with
                  probability `label_dropout`                                                 (2)

Sources: Tian et al. 2024 (arXiv 2404.02905), §3; Ho & Salimans 2022 (arXiv 2207.12598) for (2): the null view
of the attacks needs a model that knows the null label. The perceptual and adversarial losses of the released
tokenizer are left out.

Axes: N training images, B batch, H and W pixels, L tokens.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float32, Int32

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families.config import to_dict
from jaxaudit.models.var import VAR, VARConfig
from jaxaudit.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig
from jaxaudit.training.loop import Batch, Params, Schedule, fit


@dataclasses.dataclass(frozen=True)
class VARRecipe:
    """A VAR target and how it is trained.

    Attributes:
      tokenizer, generator: the shapes of the two networks, which must agree.
      tokenizer_schedule, generator_schedule: steps, rates and batch sizes of the two stages.
      label_dropout: probability that a label is replaced by the null label while the transformer trains.
    """

    tokenizer: MultiScaleVQConfig
    generator: VARConfig
    tokenizer_schedule: Schedule
    generator_schedule: Schedule
    label_dropout: float = 0.1

    @property
    def config(self) -> dict[str, Any]:
        """The config of `jaxaudit.families`, JSON-able."""
        return {"generator": to_dict(self.generator), "tokenizer": to_dict(self.tokenizer)}

    @property
    def preprocessing(self) -> Preprocessing:
        """Pictures of any size, shorter side to the image size, in [-1, 1]; exact for pictures of that size."""
        size = self.tokenizer.image_size
        return Preprocessing(image_size=size, resize="lanczos", short_side=size, low=-1.0, high=1.0)


def small_recipe(
    image_size: int,
    num_classes: int,
    *,
    width: int = 128,
    depth: int = 2,
    vocab_size: int = 32,
    tokenizer_steps: int = 500,
    generator_steps: int = 480,
) -> VARRecipe:
    """A recipe for a small VAR; with the defaults and 8 px digits, the one behind `digits_var`.

    The number of generator steps decides how much is memorised: at the default each digit was seen 34 times.

    Args:
      image_size: pixels per side, a power of two from 8.
      num_classes: of the labels.
      width, depth: of the transformer; `width` a multiple of 32.
      vocab_size: codes of the tokenizer.
      tokenizer_steps, generator_steps: optimiser steps of the two stages, 64 images each.

    Raises:
      InputError: if a size does not fit.
    """
    if image_size < 8 or image_size & (image_size - 1):
        raise InputError(f"image_size={image_size} is not a power of two from 8.")
    if width % 32 or width < 32:
        raise InputError(f"width={width} is not a multiple of 32.")
    side = min(image_size, 16)
    patch_nums = tuple(2**power for power in range(side.bit_length()))
    levels = (image_size // side).bit_length()
    return VARRecipe(
        tokenizer=MultiScaleVQConfig(
            vocab_size=vocab_size,
            z_channels=4,
            ch=32,
            ch_mult=(1,) * levels,
            num_res_blocks=1,
            patch_nums=patch_nums,
            attention=False,
        ),
        generator=VARConfig(
            num_classes=num_classes,
            depth=depth,
            width=width,
            num_heads=width // 32,
            vocab_size=vocab_size,
            token_dim=4,
            patch_nums=patch_nums,
        ),
        tokenizer_schedule=Schedule(tokenizer_steps, 64, learning_rate=3e-3, weight_decay=0.01),
        generator_schedule=Schedule(generator_steps, 64, learning_rate=2e-3),
    )


Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with the stage, the steps done, the steps of the stage and the latest metrics."""


def train(
    recipe: VARRecipe,
    images: Float32[np.ndarray, "N H W 3"],
    labels: Int32[np.ndarray, " N"],
    *,
    directory: str | os.PathLike,
    seed: int = 0,
    progress: Progress = lambda stage, step, steps, metrics: None,
) -> Params:
    """Trains both networks; a run that was killed goes on from its last checkpoint.

    Args:
      recipe: what to train and how.
      images: in [-1, 1]. labels: 0 .. num_classes - 1.
      directory: keeps checkpoints and loss curves of both stages.
      seed: of initial weights, order of the images and dropped labels.
      progress: see `Progress`.

    Returns:
      The parameters {"generator": ..., "tokenizer": ...}.
    """
    directory = Path(directory)
    tokenizer, generator = MultiScaleVQ(recipe.tokenizer), VAR(recipe.generator)
    keys = jax.random.split(jax.random.key(seed))

    def reconstruction_loss(params: Params, batch: Batch, key: jax.Array) -> tuple[Array, dict[str, Array]]:
        del key
        result = tokenizer.apply({"params": params}, batch["images"])
        error = jnp.square(result.images - batch["images"]).mean()
        return error + result.loss, {"reconstruction": error, "quantisation": result.loss}  # (1)

    initial = jax.jit(tokenizer.init)(keys[0], images[:1])["params"]
    tokenizer_params = fit(
        reconstruction_loss,
        initial,
        lambda rows: {"images": images[rows]},
        len(images),
        recipe.tokenizer_schedule,
        directory=directory / "tokenizer",
        seed=seed,
        progress=lambda step, metrics: progress("tokenizer", step, recipe.tokenizer_schedule.steps, metrics),
    )
    tokens, inputs = _tokenise(tokenizer, tokenizer_params, images)

    def likelihood_loss(params: Params, batch: Batch, key: jax.Array) -> tuple[Array, dict[str, Array]]:
        dropped = jax.random.bernoulli(key, recipe.label_dropout, batch["labels"].shape)
        labels = jnp.where(dropped, recipe.generator.num_classes, batch["labels"])
        logits = generator.apply({"params": params}, batch["inputs"], labels)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["tokens"]).mean(), {}  # (2)

    initial = jax.jit(generator.init)(keys[1], inputs[:1], labels[:1])["params"]
    generator_params = fit(
        likelihood_loss,
        initial,
        lambda rows: {"tokens": tokens[rows], "inputs": inputs[rows], "labels": labels[rows]},
        len(images),
        recipe.generator_schedule,
        directory=directory / "generator",
        seed=seed,
        progress=lambda step, metrics: progress("generator", step, recipe.generator_schedule.steps, metrics),
    )
    return {"generator": generator_params, "tokenizer": tokenizer_params}


def _tokenise(
    tokenizer: MultiScaleVQ, params: Params, images: np.ndarray, batch_size: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [N,L] and the transformer's inputs of all images: each is tokenised once, not once per epoch."""

    @jax.jit
    def encode(params: Params, images: Array) -> tuple[Array, Array]:
        bound = tokenizer.bind({"params": params})
        tokens = bound.encode(images)
        return tokens, bound.var_input(tokens)

    parts = [
        encode(params, images[start : start + batch_size]) for start in range(0, len(images), batch_size)
    ]
    tokens, inputs = zip(*jax.device_get(parts), strict=True)
    return np.concatenate(tokens), np.concatenate(inputs)
