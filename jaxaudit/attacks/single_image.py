"""Generating one image as a target does: what that costs is asked here, not what comes out.

    tokens      all steps of generation, from none of them given (`jaxaudit.attacks.completion`)
    diffusion   a DDIM chain over 50 levels, from noise

and the decoder at the end. Without guidance, which doubles the passes through the network of each of them.

Axes: H and W pixels, h and w latent pixels, c channels, S steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxaudit.attacks.completion import ContinuousExtraction, DiscreteExtraction
from jaxaudit.targets import DiffusionTarget, Kind, Params, Target
from jaxaudit_kernels.denoising import ddim_chain
from jaxaudit_kernels.process import noise_levels

SAMPLING_STEPS = 50
"""Of a diffusion model; those of the published samplers are 50 to 250, and the cost grows with them."""

Generate = Callable[[Params], Float[Array, "1 H W 3"]]


def generator(target: Target) -> Generate:
    """params -> an image [1,H,W,3] in the target's range, jittable; its condition is class 0, or zeros."""
    return _GENERATORS[target.kind](target)


def _from_discrete(target: Any) -> Generate:
    extraction = DiscreteExtraction(target.functions, target.tokens_per_step, 0)
    return _completed(extraction, target, jnp.zeros((1, target.num_tokens), jnp.int32))


def _from_continuous(target: Any) -> Generate:
    extraction = ContinuousExtraction(target.functions, target.tokens_per_step, 0)
    return _completed(extraction, target, jnp.zeros((1, *target.latent_shape)))


def _completed(
    extraction: DiscreteExtraction | ContinuousExtraction, target: Target, tokens: Array
) -> Generate:
    batch: dict[str, Array] = {
        "tokens": tokens,
        "condition": _condition(target),
        "ids": jnp.zeros(1, jnp.uint32),
    }
    return lambda params: extraction.complete((params, jax.random.key(0)), batch, prefix=0)


def _from_noise(target: DiffusionTarget) -> Generate:
    functions, process, condition = target.functions, target.process, _condition(target)
    steps = min(SAMPLING_STEPS, process.num_levels - 1)
    index = np.rint(np.linspace(process.num_levels - 1, 0, steps + 1)).astype(np.int32)
    levels = noise_levels(process, jnp.asarray(index)[:, None])

    def generate(params: Params) -> Float[Array, "1 H W 3"]:
        noise = jax.random.normal(jax.random.key(0), (1, *target.latent_shape))
        states = ddim_chain(
            lambda z, level, condition: functions.denoise(params, z, level, condition),
            noise,
            levels,
            condition,
        )
        return functions.decode(params, states[-1])

    return generate


def _condition(target: Target) -> Any:
    if target.context_shape:
        return jnp.zeros((1, *target.context_shape))
    return jnp.zeros(1, jnp.int32) if target.num_classes else None


_GENERATORS: Mapping[Kind, Callable[[Any], Generate]] = {
    "discrete": _from_discrete,
    "continuous": _from_continuous,
    "diffusion": _from_noise,
}
