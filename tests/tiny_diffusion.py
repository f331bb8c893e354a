"""Diffusion targets that compile in no time: one tanh of a linear map is their network."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxaudit.data import Preprocessing
from jaxaudit.targets import DiffusionFunctions, DiffusionTarget
from jaxaudit_kernels.diffusion import Schedule, linear_schedule

DIGITS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)
CONTEXT = (2, 3)
_LINEAR = linear_schedule(1000)
FROM_ZERO, FROM_ONE = _LINEAR, Schedule(_LINEAR.betas, _LINEAR.timesteps + 1)
"""Schedules of a network that counts its time from 0 (DiT), and of one that counts from 1 (U-ViT)."""


def _encode(params, images, key=None):
    """Means of 2 x 2 pixels, [B,4,4,3]."""
    del params, key
    return images.reshape(len(images), 4, 2, 4, 2, 3).mean((2, 4))


def _decode(params, latents):
    del params
    return jnp.repeat(jnp.repeat(latents, 2, axis=1), 2, axis=2)


def network(params, z, time, condition):
    """[ε̂, v], [B,4,4,6]: tanh((1 + time / 1000) z W + b_condition)."""
    generator = params["generator"]
    time = jnp.broadcast_to(jnp.asarray(time, jnp.float32) / 1000, z.shape[:1])
    z = (1 + time)[:, None, None, None] * jnp.einsum("bhwc,cd->bhwd", z, generator["mix"])
    if condition is not None and condition.ndim == 1:
        z = z + generator["labels"][condition][:, None, None]
    elif condition is not None:
        z = z + jnp.einsum("btd,tdf->bf", condition, generator["captions"])[:, None, None]
    return jnp.tanh(z)


def target(
    condition: str = "labels",
    schedule: Schedule = FROM_ZERO,
    watch: Callable[..., None] | None = None,
) -> DiffusionTarget:
    """A target conditioned on "labels" (5 classes), "captions" or "nothing".

    `watch` is called with z, time and condition of every row the network looks at, while it runs.
    """
    return _target(condition, schedule, watch)


@functools.cache
def _target(condition: str, schedule: Schedule, watch: Callable[..., None] | None) -> DiffusionTarget:
    random = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(random.standard_normal(shape), jnp.float32)

    def watched(params, z, time, condition):
        if watch is not None:
            times = jnp.broadcast_to(time, z.shape[:1])
            jax.debug.callback(watch, z, times, condition)
        return network(params, z, time, condition)

    def predict_noise(params, z, timestep, condition):
        return watched(params, z, jnp.asarray(schedule.timesteps)[timestep], condition)[..., :3]

    return DiffusionTarget(
        name="tiny",
        family="tiny",
        params={
            "generator": {
                "mix": normal(3, 6),
                "labels": 0.3 * normal(6, 6),
                "captions": 0.3 * normal(*CONTEXT, 6),
            }
        },
        functions=DiffusionFunctions(_encode, _decode, watched, predict_noise, None),
        preprocessing=DIGITS,
        latent_shape=(4, 4, 3),
        num_classes=5 if condition == "labels" else 0,
        context_shape=CONTEXT if condition == "captions" else None,
        schedule=schedule,
        learned_variance=True,
        provenance={"fingerprint": "tiny"},
    )
