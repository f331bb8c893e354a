"""Diffusion targets that compile in no time: one tanh of a linear map is their network."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxaudit.data import Preprocessing
from jaxaudit.targets import DiffusionFunctions, DiffusionTarget
from jaxaudit_kernels.process import Process, denoised, network_input
from jaxaudit_kernels.processes import linear_beta

DIGITS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)
CONTEXT = (2, 3)
FROM_ZERO, FROM_ONE = linear_beta(), linear_beta(first_time=1)
"""Processes of a network that counts its time from 0 (DiT), and of one that counts from 1 (U-ViT)."""


def _encode(params, images, key=None):
    """Means of 2 x 2 pixels, [B,4,4,3]."""
    del params, key
    return images.reshape(len(images), 4, 2, 4, 2, 3).mean((2, 4))


def _decode(params, latents):
    del params
    return jnp.repeat(jnp.repeat(latents, 2, axis=1), 2, axis=2)


def _activations(*inputs):
    raise NotImplementedError("this network has no hidden layer")


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
    process: Process = FROM_ZERO,
    watch: Callable[..., None] | None = None,
    network: Callable[..., jax.Array] = network,
) -> DiffusionTarget:
    """A target conditioned on "labels" (5 classes), "captions" or "nothing".

    `watch` is called with x, time and condition of every row the network looks at, while it runs. `network`,
    (params, x, time, condition) -> output, predicts what the process says.
    """
    return _target(condition, process, watch, network)


@functools.cache
def _target(
    condition: str,
    process: Process,
    watch: Callable[..., None] | None,
    network: Callable[..., jax.Array],
) -> DiffusionTarget:
    random = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(random.standard_normal(shape), jnp.float32)

    def denoise(params, z, level, condition):
        x, time = network_input(process, z, jnp.broadcast_to(level, z.shape[:1]))
        if watch is not None:
            jax.debug.callback(watch, x, time, condition)
        return denoised(process, network(params, x, time, condition), z, level)

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
        functions=DiffusionFunctions(_encode, _decode, denoise, _activations),
        preprocessing=DIGITS,
        latent_shape=(4, 4, 3),
        num_classes=5 if condition == "labels" else 0,
        context_shape=CONTEXT if condition == "captions" else None,
        process=process,
        provenance={"fingerprint": "tiny"},
    )
