"""Trains a VAR target: first the tokenizer, then the transformer on its tokens.

    tokenizer:    mean (x − x̂)² + codebook and commitment losses                              (1)
    transformer:  − mean log p(t_n | smaller scales, c); c is replaced by the null label with
                  probability `label_dropout`                                                 (2)

Sources: Tian et al. 2024 (arXiv 2404.02905), §3; Ho & Salimans 2022 (arXiv 2207.12598) for (2). The
perceptual and adversarial losses of the released tokenizer are left out.

Axes: N training images, B batch, H and W pixels, L tokens.
"""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from jaxaudit.data.preprocessing import Resize
from jaxaudit.models.forward import forward
from jaxaudit.models.var import VAR, VARConfig
from jaxaudit.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig
from jaxaudit.training.loop import Examples, Params, Schedule, TrainingBatch
from jaxaudit.training.stages import Recipe, check_sizes, drop_labels, encode_all
from jaxaudit.training.tokens import Stages, TokenTrainer


class VARRecipe(Recipe):
    """A VAR target and how it is trained."""

    resize: ClassVar[Resize] = "lanczos"


def small_recipe(
    image_size: int,
    num_classes: int,
    *,
    width: int = 128,
    depth: int = 2,
    vocab_size: int = 32,
    tokenizer_steps: int = 500,
    generator_steps: int = 420,
) -> VARRecipe:
    """A recipe for a small VAR; with the defaults and 8 px digits, the one behind `digits_var`.

    The number of generator steps decides how much is memorised: at the default each digit was seen 30 times.

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
        generator_schedule=Schedule(generator_steps, 64, learning_rate=4e-3, final_rate=1.0),
    )


def _stages(recipe: VARRecipe) -> Stages:
    tokenizer, generator = MultiScaleVQ(recipe.tokenizer), VAR(recipe.generator)

    def reconstruction_loss(
        params: Params, batch: TrainingBatch, key: Key[Array, ""]
    ) -> tuple[Array, dict[str, Array]]:
        del key
        result = forward(tokenizer, params, batch["images"])
        error = jnp.square(result.images - batch["images"]).mean()
        return error + result.loss, {"reconstruction": error, "quantisation": result.loss}  # (1)

    def encode(params: Params, images: np.ndarray) -> tuple[Params, Examples]:
        def encode_some(params: Params, images: Array) -> dict[str, Array]:
            bound = tokenizer.bind({"params": params})
            tokens = bound.encode(images)
            return {"tokens": tokens, "inputs": bound.var_input(tokens)}

        return params, encode_all(encode_some, params, images)

    def likelihood_loss(
        params: Params, batch: TrainingBatch, key: Key[Array, ""]
    ) -> tuple[Array, dict[str, Array]]:
        labels = drop_labels(key, batch["labels"], recipe.label_dropout, recipe.generator.num_classes)
        logits = forward(generator, params, batch["inputs"], labels)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["tokens"]).mean(), {}  # (2)

    return Stages(
        tokenizer,
        generator,
        reconstruction_loss,
        encode,
        likelihood_loss,
        lambda example: (example["inputs"], example["labels"]),
    )


train = TokenTrainer(_stages).train
