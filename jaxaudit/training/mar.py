"""Trains a MAR target: first the autoencoder, then the transformer and its diffusion head on its latents.

    autoencoder:  mean (x − x̂)² + λ mean KL(q(z | x) ‖ N(0, 1)),  z drawn from q                          (1)
    standardised: μ ← (μ − m) / s per channel, with the mean m and deviation s of μ over the training images;
                  the 1×1 convolutions around the latents absorb it, and the decoder undoes it            (2)
    generator:    mean over hidden tokens and noises of mse + vb (`jaxaudit_kernels`) given the
                  visible tokens and c, at random times; c is replaced by the null label with probability
                  `label_dropout`                                                                         (3)
    hidden:       of L tokens ⌈r L⌉ in a random place, r from N(1, ¼²) truncated to [r₀, 1], as published
                  with r₀ = 0.7                                                                           (4)

Sources: Rombach et al. 2022 (arXiv 2112.10752), §3.1, for (1), without the perceptual and adversarial losses;
Li et al. 2024 (arXiv 2406.11838), §3 and §4, for (3) and (4), with r drawn per image instead of per batch,
and one time per image and noise instead of per token.

Axes: N training images, B batch, H and W pixels, L tokens, M visible tokens at most, R noises of a token,
D channels of a token.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Key

from jaxaudit.families.wiring import read_configs
from jaxaudit.models import mar_head
from jaxaudit.models.forward import forward
from jaxaudit.models.mar import MAR, PATCH_ORDER, MARConfig
from jaxaudit.models.patches import patchify
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig, posterior, sample
from jaxaudit.training.loop import Examples, Params, Schedule, TrainingBatch
from jaxaudit.training.stages import Recipe, check_sizes, drop_conditions, encode_all
from jaxaudit.training.tokens import Stages, TokenTrainer

_NOISES = 4  # R of (3), as published
_STEPS = 7000  # of the generator


@dataclasses.dataclass(frozen=True, kw_only=True)
class MARRecipe(Recipe):
    """A MAR target and how it is trained.

    Attributes, beside those of every recipe:
      kl_weight: λ of (1).
      least_hidden: r₀ of (4).
    """

    kl_weight: float = 1e-4
    least_hidden: float = 0.7

    settles: ClassVar[bool] = True


def small_recipe(
    image_size: int,
    num_classes: int,
    *,
    width: int = 64,
    depth: int = 2,
    tokenizer_steps: int = 500,
    generator_steps: int = _STEPS,
) -> MARRecipe:
    """A recipe for a small MAR; with the defaults and 8 px digits, the one behind `digits_mar`.

    It memorises far more slowly than a VAR or RAR: masks, times and noises make every pass a new task, and
    three visible tokens must tell which image it is. Noisy latents, which spread an image over all tokens,
    and training on masks close to those of the attack help.

    Args:
      image_size: pixels per side, a power of two from 8.
      num_classes: of the labels.
      width, depth: of encoder and decoder; `width` a multiple of 32.
      tokenizer_steps, generator_steps: optimiser steps of the two stages, 64 images each.

    Raises:
      InputError: if a size does not fit.
    """
    check_sizes(image_size, width)
    side = min(image_size, 16)
    return MARRecipe(
        tokenizer=KLAutoencoderConfig(
            latent_channels=4,
            ch=16,
            ch_mult=(1,) * (image_size // side).bit_length(),
            num_res_blocks=1,
            encoder_attention_levels=(),
            scale=1.0,
            image_size=image_size,
        ),
        generator=MARConfig(
            num_classes=num_classes,
            depth=depth,
            width=width,
            num_heads=width // 32,
            buffer_size=4,
            side=side,
            latent_channels=4,
            head_depth=2,
            head_width=width // 2,
        ),
        tokenizer_schedule=Schedule(tokenizer_steps, 64, learning_rate=3e-3, weight_decay=0.01),
        generator_schedule=_schedule(generator_steps),
        kl_weight=1e-2,
        least_hidden=0.9,
    )


def fine_tuning_recipe(config: Mapping[str, Any], *, generator_steps: int = _STEPS) -> MARRecipe:
    """A recipe that trains the generator of a target further, see `jaxaudit.training`."""
    generator, tokenizer = read_configs(config, MARConfig, KLAutoencoderConfig)
    schedule = _schedule(generator_steps)
    return MARRecipe(tokenizer=tokenizer, generator=generator, generator_schedule=schedule, least_hidden=0.9)


def _schedule(steps: int) -> Schedule:
    return Schedule(steps, 64, learning_rate=1e-2, weight_decay=0.01, muon=True)


class _Trainer(TokenTrainer[MARRecipe]):
    def stages(self, recipe: MARRecipe) -> Stages:
        """(1) to (4) for the networks of a recipe."""
        tokenizer, generator = KLAutoencoder(recipe.tokenizer), MAR(recipe.generator)
        head, config = recipe.generator.head(), recipe.generator

        def autoencoder_loss(
            params: Params, batch: TrainingBatch, key: Key[Array, ""]
        ) -> tuple[Array, dict[str, Array]]:
            moments = forward(tokenizer, params, batch["images"], method="moments")
            mean, log_variance = posterior(moments)
            latents = recipe.tokenizer.scale * sample(moments, jax.random.normal(key, mean.shape))
            reconstructed = forward(tokenizer, params, latents, method="reconstruct")
            error = jnp.square(reconstructed - batch["images"]).mean()
            divergence = 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance).mean()
            return error + recipe.kl_weight * divergence, {"reconstruction": error, "kl": divergence}  # (1)

        def encode_some(params: Params, images: Array) -> Array:
            return forward(tokenizer, params, images, method="encode")

        def settle(params: Params, images: np.ndarray) -> Params:
            return _standardise(params, encode_all(encode_some, params, images) / recipe.tokenizer.scale)

        def encode(params: Params, images: np.ndarray) -> Examples:
            latents = encode_all(encode_some, params, images)
            return {"tokens": np.asarray(patchify(jnp.asarray(latents), config.patch_size, PATCH_ORDER))}

        def denoising_loss(
            params: Params, batch: TrainingBatch, key: Key[Array, ""]
        ) -> tuple[Array, dict[str, Array]]:
            clean = batch["tokens"]
            label_key, mask_key, time_key, noise_key = jax.random.split(key, 4)
            labels = drop_conditions(label_key, batch["labels"], recipe.label_dropout, config.num_classes)
            visible, shown, hidden = _masks(mask_key, len(clean), config.num_tokens, recipe.least_hidden)
            encoded = forward(generator, params, clean, labels, visible, shown, method="encode")
            z = forward(generator, params, encoded, visible, shown, method="decode")
            times = jax.random.randint(time_key, (_NOISES, len(clean), 1), 0, mar_head.TRAINING.num_levels)
            noise = jax.random.normal(noise_key, (_NOISES, *clean.shape))
            losses = mar_head.losses(head, params["diffloss"]["net"], z, clean, times, noise)
            share = hidden / hidden.sum()
            loss, mse = (jnp.sum(losses[name].mean(0) * share) for name in ("loss", "mse"))  # (3)
            return loss, {"mse": mse}

        def inputs(example: Examples) -> tuple[np.ndarray, ...]:
            tokens, position = example["tokens"], np.zeros((1, 1), np.int32)
            return tokens, example["labels"], position, tokens[:, :1], position

        return Stages(tokenizer, generator, autoencoder_loss, settle, encode, denoising_loss, inputs)


train = _Trainer().train


def _masks(
    key: Key[Array, ""], batch: int, length: int, least_hidden: float
) -> tuple[Int[Array, "B M"], Bool[Array, "B M"], Bool[Array, "B L"]]:
    """(4): positions that may be visible, which of those are, and which of all positions are hidden."""
    order_key, ratio_key = jax.random.split(key)
    order = jnp.argsort(jax.random.uniform(order_key, (batch, length)), axis=1)
    least = (least_hidden - 1.0) / 0.25
    ratio = 1.0 + 0.25 * jax.random.truncated_normal(ratio_key, least, 0.0, (batch,))
    count = length - jnp.ceil(ratio * length).astype(jnp.int32)
    most = max(1, length - math.ceil(least_hidden * length))
    shown = jnp.arange(most)[None] < count[:, None]
    rank = jnp.argsort(order, axis=1)
    return order[:, :most], shown, rank >= count[:, None]


def _standardise(params: Params, means: Float32[np.ndarray, "N h w c"]) -> Params:
    """(2) for the posterior's `means` of the training images: the same pictures, standardised latents."""
    m, s = means.mean((0, 1, 2)), means.std((0, 1, 2))
    into, out = params["quant_conv"], params["post_quant_conv"]
    same = np.ones_like(s)
    shift, deviation = np.concatenate([m, 0 * same]), np.concatenate([s, same])
    log_variance = np.concatenate([0 * same, 2 * np.log(s)])
    return {
        **params,
        "quant_conv": {
            "kernel": into["kernel"] / deviation[None, None, None],
            "bias": (into["bias"] - shift) / deviation - log_variance,
        },
        "post_quant_conv": {
            "kernel": out["kernel"] * s[None, None, :, None],
            "bias": out["bias"] + jnp.einsum("i,io->o", m, out["kernel"][0, 0]),
        },
    }
