"""Trains a diffusion target in pixel space.

    DiT:    mean over pixels of mse + vb (`jaxaudit_kernels.diffusion`) at a uniform timestep            (1)
    U-ViT:  mean over pixels of mse alone                                                               (2)

c is replaced by the null label with probability `label_dropout`. There is no autoencoder: small pictures are
their own latents, so everything that is learned of them is in the network that is audited.

Sources: Peebles & Xie 2023 (arXiv 2212.09748), §3, for (1); Bao et al. 2023 (arXiv 2209.12152), §4, for (2).

Axes: N training images, B batch, H and W pixels.
"""

from __future__ import annotations

import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.training.loop import Batch, Params
from jaxaudit.training.stages import Progress, Recipe, drop_labels, fit_stage
from jaxaudit_kernels import diffusion

_CHANNELS = 3


class DenoiserRecipe(Recipe):
    """A diffusion target in pixel space and how it is trained."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Pictures of any size, shorter side to the image size, in [-1, 1]; exact for those of that size."""
        size = self.generator.latent_size
        return Preprocessing(image_size=size, resize="adm", short_side=size, low=-1.0, high=1.0)


def pixel_shape(image_size: int) -> dict[str, int]:
    """What a network's config says of its input: pixels, in patches that make 16 tokens or more."""
    return {
        "latent_size": image_size,
        "latent_channels": _CHANNELS,
        "patch_size": max(2, image_size // 16),
    }


def train_denoiser(
    network: nn.Module,
    schedule: diffusion.Schedule,
    recipe: DenoiserRecipe,
    images: Float32[np.ndarray, "N H W 3"],
    labels: Int32[np.ndarray, " N"],
    *,
    directory: str | os.PathLike,
    seed: int,
    progress: Progress,
) -> Params:
    """Trains a network (z_t, time, labels) -> ε̂ or [ε̂, v] on the noise levels of `schedule`.

    The other arguments and the result are those of the trainers' `train`.
    """
    config = recipe.generator
    keys = jax.random.split(jax.random.key(seed))
    times = jnp.asarray(schedule.timesteps)

    def denoising_loss(params: Params, batch: Batch, key: jax.Array) -> tuple[Array, dict[str, Array]]:
        label_key, time_key, noise_key = jax.random.split(key, 3)
        clean = batch["images"]
        labels = drop_labels(label_key, batch["labels"], recipe.label_dropout, config.num_classes)
        t = jax.random.randint(time_key, (len(clean),), 0, len(times))
        noise = jax.random.normal(noise_key, clean.shape)
        output = network.apply(
            {"params": params}, diffusion.q_sample(schedule, clean, t, noise), times[t], labels
        )
        if output.shape[-1] == _CHANNELS:
            return jnp.square(noise - output).mean(), {}  # (2)
        losses = diffusion.training_losses(schedule, output, clean, t, noise)
        return losses["loss"].mean(), {"mse": losses["mse"].mean()}  # (1)

    generator_params = fit_stage(
        "generator",
        denoising_loss,
        jax.jit(network.init)(keys[0], images[:1], times[:1], labels[:1])["params"],
        {"images": images, "labels": labels},
        recipe.generator_schedule,
        directory=directory,
        seed=seed,
        progress=progress,
    )
    return {"generator": generator_params}
