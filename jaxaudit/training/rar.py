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

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from jaxaudit.data.preprocessing import Resize
from jaxaudit.models.forward import forward
from jaxaudit.models.rar import RAR, RARConfig
from jaxaudit.tokenizers.maskgit_vq import MaskGITVQ, MaskGITVQConfig
from jaxaudit.training.loop import Examples, Params, Schedule, TrainingBatch
from jaxaudit.training.stages import Recipe, check_sizes, drop_labels, encode_all
from jaxaudit.training.tokens import Stages, TokenTrainer

_COMMITMENT = 0.25  # β of (1)


class RARRecipe(Recipe):
    """A RAR target and how it is trained."""

    resize: ClassVar[Resize] = "bicubic"
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


def _stages(recipe: RARRecipe) -> Stages:
    tokenizer, generator = MaskGITVQ(recipe.tokenizer), RAR(recipe.generator)

    def reconstruction_loss(
        params: Params, batch: TrainingBatch, key: Key[Array, ""]
    ) -> tuple[Array, dict[str, Array]]:
        del key
        quantised_pass = nn.apply(_quantised_pass, tokenizer)
        reconstructed, quantisation = quantised_pass({"params": params}, batch["images"])
        error = jnp.square(reconstructed - batch["images"]).mean()
        return error + quantisation, {"reconstruction": error, "quantisation": quantisation}  # (1)

    def encode(params: Params, images: np.ndarray) -> tuple[Params, Examples]:
        def encode_some(params: Params, images: Array) -> dict[str, Array]:
            return {"tokens": forward(tokenizer, params, images, method="encode")}

        return params, encode_all(encode_some, params, images)

    def likelihood_loss(
        params: Params, batch: TrainingBatch, key: Key[Array, ""]
    ) -> tuple[Array, dict[str, Array]]:
        labels = drop_labels(key, batch["labels"], recipe.label_dropout, recipe.generator.num_classes)
        logits = forward(generator, params, batch["tokens"][:, :-1], labels)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["tokens"]).mean(), {}  # (2)

    return Stages(
        tokenizer,
        generator,
        reconstruction_loss,
        encode,
        likelihood_loss,
        lambda example: (example["tokens"], example["labels"]),
    )


train = TokenTrainer(_stages).train


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
