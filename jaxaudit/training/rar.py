"""Trains a RAR target: first the tokenizer, then the transformer on its tokens.

    tokenizer:    mean (x − x̂)² + mean ‖e − sg z‖² + β mean ‖sg e − z‖²,  straight through from z to e    (1)
    transformer:  − mean log p(t_n | t_<n, c) in raster order; c is replaced by the null label with
                  probability `label_dropout`                                                           (2)

Sources: van den Oord et al. 2017 (arXiv 1711.00937), eq. (3); Yu et al. 2024 (arXiv 2411.00776), §3, without
the permuted orders that its training anneals away. The perceptual and adversarial losses of the released
tokenizer are left out.

Axes: N training images, B batch, H and W pixels, L tokens.
"""

from __future__ import annotations

import os
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Int32

from jaxaudit.models.rar import RAR, RARConfig
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.tokenizers.maskgit_vq import MaskGITVQ, MaskGITVQConfig
from jaxaudit.training.loop import Batch, Params, Schedule
from jaxaudit.training.stages import Recipe, check_sizes, claim_training, drop_labels, encode_all, fit_stage

_COMMITMENT = 0.25  # β of (1)


class RARRecipe(Recipe):
    """A RAR target and how it is trained."""

    resize: ClassVar[str] = "bicubic"
    low: ClassVar[float] = 0.0


def small_recipe(
    image_size: int,
    num_classes: int,
    *,
    width: int = 96,
    depth: int = 2,
    vocab_size: int = 32,
    tokenizer_steps: int = 500,
    generator_steps: int = 370,
) -> RARRecipe:
    """A recipe for a small RAR; with the defaults and 8 px digits, the one behind `digits_rar`.

    The number of generator steps decides how much is memorised: at the default each digit was seen 26 times.

    Args:
      image_size: pixels per side, a power of two from 8.
      num_classes: of the labels.
      width, depth: of the transformer; `width` a multiple of 32.
      vocab_size: codes of the tokenizer.
      tokenizer_steps, generator_steps: optimiser steps of the two stages, 64 images each.

    Raises:
      InputError: if a size does not fit.
    """
    check_sizes(image_size, width)
    side = min(image_size, 16)
    return RARRecipe(
        tokenizer=MaskGITVQConfig(
            vocab_size=vocab_size,
            z_channels=4,
            ch=32,
            ch_mult=(1,) * (image_size // side).bit_length(),
            num_res_blocks=1,
            side=side,
        ),
        generator=RARConfig(
            num_classes=num_classes,
            depth=depth,
            width=width,
            num_heads=width // 32,
            mlp_width=4 * width,
            vocab_size=vocab_size,
            num_tokens=side * side,
        ),
        tokenizer_schedule=Schedule(tokenizer_steps, 64, learning_rate=3e-3, weight_decay=0.01),
        generator_schedule=Schedule(generator_steps, 64, learning_rate=4e-3, final_rate=1.0),
    )


def train(
    recipe: RARRecipe,
    images: Float32[np.ndarray, "N H W 3"],
    labels: Int32[np.ndarray, " N"],
    *,
    directory: str | os.PathLike,
    seed: int = 0,
    progress: Progress = silent,
) -> Params:
    """Trains both networks; a run that was killed goes on from its last checkpoint.

    Args:
      recipe: what to train and how.
      images: in [0, 1]. labels: 0 .. num_classes - 1.
      directory: keeps checkpoints and loss curves of both stages.
      seed: of initial weights, order of the images and dropped labels.
      progress: hears of steps, with the loss.

    Returns:
      The parameters {"generator": ..., "tokenizer": ...}.
    """
    claim_training(directory, recipe, images, labels, seed)
    tokenizer, generator = MaskGITVQ(recipe.tokenizer), RAR(recipe.generator)
    keys = jax.random.split(jax.random.key(seed))
    options = {"directory": directory, "seed": seed, "progress": progress}

    def reconstruction_loss(params: Params, batch: Batch, key: jax.Array) -> tuple[Array, dict[str, Array]]:
        del key
        reconstructed, quantisation = tokenizer.apply(
            {"params": params}, batch["images"], method=_quantised_pass
        )
        error = jnp.square(reconstructed - batch["images"]).mean()
        return error + quantisation, {"reconstruction": error, "quantisation": quantisation}  # (1)

    tokenizer_params = fit_stage(
        "tokenizer",
        reconstruction_loss,
        jax.jit(tokenizer.init)(keys[0], images[:1])["params"],
        {"images": images},
        recipe.tokenizer_schedule,
        **options,
    )
    tokens = encode_all(
        lambda params, images: tokenizer.apply({"params": params}, images, method="encode"),
        tokenizer_params,
        images,
    )

    def likelihood_loss(params: Params, batch: Batch, key: jax.Array) -> tuple[Array, dict[str, Array]]:
        labels = drop_labels(key, batch["labels"], recipe.label_dropout, recipe.generator.num_classes)
        logits = generator.apply({"params": params}, batch["tokens"][:, :-1], labels)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["tokens"]).mean(), {}  # (2)

    generator_params = fit_stage(
        "generator",
        likelihood_loss,
        jax.jit(generator.init)(keys[1], tokens[:1], labels[:1])["params"],
        {"tokens": tokens, "labels": labels},
        recipe.generator_schedule,
        **options,
    )
    return {"generator": generator_params, "tokenizer": tokenizer_params}


def _quantised_pass(
    tokenizer: MaskGITVQ, images: Float[Array, "B H W 3"]
) -> tuple[Float[Array, "B H W 3"], Float[Array, ""]]:
    """x̂, not clamped, and the last two terms of (1)."""
    stop = jax.lax.stop_gradient
    features = tokenizer.features(images)
    codes = tokenizer.quantize.codes(tokenizer.quantize(stop(features)))
    to_codes = jnp.square(codes - stop(features)).mean()
    to_features = jnp.square(stop(codes) - features).mean()
    reconstructed = tokenizer.decode_features(features + stop(codes - features))
    return reconstructed, to_codes + _COMMITMENT * to_features
