"""Noise optimisation: how far must a noised image be moved for the model to see its noise better?

With the notation of `jaxaudit_kernels.denoising`, for each image alone:

    (1)  δ* = argmin_δ ‖ε − f(z_t + δ, t)‖₂,  a few iterations of L-BFGS from δ = 0
    (2)  error ‖ε − f(z_t + δ*, t)‖₂ and norm ‖δ*‖₂

The published code minimises the mean over a batch, all its images one unknown: their results then depend on
each other. Called with one image, it is the same.
Source: Dubiński et al. 2025, "CDI: Copyrighted data identification in diffusion models".

Axes: B images, h and w latent pixels, c channels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxaudit_kernels.denoising import Denoise, norm
from jaxaudit_kernels.gradient_masking import denoised_and_gradient
from jaxaudit_kernels.lbfgs import minimize


class NoiseOptimum(NamedTuple):
    """(2) of each image.

    Attributes:
      error: never above that of δ = 0.
      perturbation: δ*.
      evaluations: gradients it took, that of δ = 0 included.
    """

    error: Float[Array, " B"]
    perturbation: Float[Array, "B h w c"]
    evaluations: Int[Array, " B"]


def noise_optimization(
    denoise: Denoise,
    z_t: Float[Array, "B h w c"],
    index: Int[Array, " B"],
    condition: Any,
    noise: Float[Array, "B h w c"],
    *,
    max_iterations: int = 5,
    initial: tuple[Float[Array, " B"], Float[Array, "B h w c"]] | None = None,
) -> NoiseOptimum:
    """(1), (2), float32.

    Args:
      denoise: the model, see `jaxaudit_kernels.denoising`.
      z_t: noised latents. index: of their level. condition: what the model is given.
      noise: ε.
      max_iterations: of L-BFGS.
      initial: error and gradient at δ = 0, if they are known already.
    """

    def objective(perturbation: Array) -> tuple[Array, Array]:
        seen, gradient = denoised_and_gradient(denoise, z_t + perturbation, index, condition, noise)
        return norm(noise - seen.eps), gradient

    found = minimize(objective, jnp.zeros_like(z_t), max_iterations=max_iterations, initial=initial)
    return NoiseOptimum(found.value, found.x, found.evaluations)
