"""The reverse step of a diffusion whose network predicts the noise and the variance of the step.

    (1)  q(x_{t−1} | x_t, x_0) has the variance β̃_t = β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t),   β_t = 1 − ᾱ_t / ᾱ_{t−1}
    (2)  p(x_{t−1} | x_t) = N((x_t − β_t/√(1−ᾱ_t) ε̂) / √(1 − β_t), σ²),
         log σ² = f log β_t + (1 − f) log β̃_t,   f = (v + 1)/2,   for a network's outputs ε̂ and v
    (3)  mse = mean (o − ô)²,  o what the network predicts, ε where there is a variance
    (4)  vb = KL(q ‖ p) / log 2 for t > 0; its two means differ by exactly β_t (ε − ε̂) / √((1 − β_t)(1 − ᾱ_t))
    (5)  vb = −log₂ P(x_0 within ±1/255 | p) for t = 0

(1), (3): Ho et al. 2020. (2), (4), (5): Nichol & Dhariwal 2021. β̃_0 = 0, so its logarithm is taken from β̃_1.
(4) and (5) are computed without the differences of nearly equal numbers of the usual form, which at small t
cost float32 most of its digits.

Axes and levels as in `jaxaudit_kernels.process`. What follows the axes of the levels in x is averaged in
losses.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from jaxaudit_kernels.process import Denoised, Process, at_levels, expand, split_channels, what_is_predicted


@functools.cache
def betas(process: Process) -> Float64[np.ndarray, " T"]:
    """β_t of (1)."""
    level = process.alphas_cumprod
    return 1.0 - level / np.append(1.0, level[:-1])


@functools.cache
def posterior_log_variance(process: Process) -> Float64[np.ndarray, " T"]:
    """log β̃_t of (1); that of t = 1 at t = 0, where β̃ is 0."""
    level = process.alphas_cumprod
    variance = betas(process) * (1.0 - np.append(1.0, level[:-1])) / (1.0 - level)
    return np.log(np.append(variance[1:2], variance[1:]))


def reverse_step(
    process: Process, x_t: Float[Array, "... C"], index: Int[Array, "..."], seen: Denoised
) -> tuple[Float[Array, "... C"], Float[Array, "... C"]]:
    """Mean and log-variance of p(x_{t−1} | x_t), (2), both float32 and of x_t's shape.

    Args:
      process: the noise levels.
      x_t: noised data.
      index: of the levels.
      seen: what the network sees in x_t.

    Raises:
      ValueError: if it has learned no variance.
    """
    if seen.variance is None:
        raise ValueError("The network has learned no variance.")
    beta = betas(process)
    weight = at_levels(beta / np.sqrt(1.0 - process.alphas_cumprod), index, ndim=x_t.ndim)
    mean = at_levels(1.0 / np.sqrt(1.0 - beta), index, ndim=x_t.ndim) * (x_t - weight * seen.eps)
    least, gap = _range(process, seen.variance, index)
    return mean, least + gap


def ancestral_step(
    process: Process,
    x_t: Float[Array, "... C"],
    index: Int[Array, "..."],
    seen: Denoised,
    noise: Float[Array, "... C"],
    *,
    temperature: float = 1.0,
) -> Float[Array, "... C"]:
    """A draw of x_{t−1} from p(x_{t−1} | x_t), (2); its mean where t = 0.

    Args:
      process, x_t, index, seen: as in `reverse_step`.
      noise: standard Gaussian.
      temperature: multiplies the standard deviation.
    """
    mean, log_variance = reverse_step(process, x_t, index, seen)
    return jnp.where(
        expand(index != 0, x_t.ndim), mean + temperature * jnp.exp(0.5 * log_variance) * noise, mean
    )


def training_losses(
    process: Process,
    output: Float[Array, "... out"],
    x_start: Float[Array, "... C"],
    index: Int[Array, "..."],
    noise: Float[Array, "... C"],
) -> dict[str, Float[Array, "..."]]:
    """What training makes small, per level.

    Args:
      process: the one the network is trained on.
      output: of the network, what it predicts; with a learned variance, that follows along the last axis.
      x_start: clean data.
      index: of the levels.
      noise: the ε in what the network read.

    Returns:
      "mse" (3), with a learned variance "vb" (4, 5) in bits, and "loss", their sum: float32, averaged over
      the axes of x after those of the levels. vb's gradient reaches the variance v only.

    Raises:
      ValueError: if `output` has neither C nor 2 C channels.
    """
    predicted, variance = split_channels(output, x_start.shape[-1])
    if process.predicts_noise:
        return noise_losses(process, Denoised(predicted, variance), x_start, index, noise)
    mse = _mean(jnp.square(what_is_predicted(process, x_start, noise, index) - predicted), index)
    return {"mse": mse, "loss": mse}


def noise_losses(
    process: Process,
    seen: Denoised,
    x_start: Float[Array, "... C"],
    index: Int[Array, "..."],
    noise: Float[Array, "... C"],
) -> dict[str, Float[Array, "..."]]:
    """`training_losses` of a network that predicts noise, from what it sees; of others, theirs if it did."""
    mse = _mean(jnp.square(noise - seen.eps), index)
    if seen.variance is None:
        return {"mse": mse, "loss": mse}
    error = noise - jax.lax.stop_gradient(seen.eps)
    least, gap = _range(process, seen.variance, index)
    beta, level = betas(process), process.alphas_cumprod
    weight = at_levels(beta / np.sqrt((1.0 - beta) * (1.0 - level)), index, ndim=error.ndim)
    kl = 0.5 * (gap + jnp.expm1(-gap) + jnp.square(weight * error) * jnp.exp(-least - gap))
    miss = at_levels(np.sqrt(1.0 / level - 1.0), index, ndim=error.ndim) * -error  # x_0 − p's mean, at t = 0
    first = -_discretized_log_likelihood(x_start, miss, 0.5 * (least + gap))
    vb = _mean(jnp.where(expand(index == 0, x_start.ndim), first, kl), index) / math.log(2.0)
    return {"mse": mse, "vb": vb, "loss": mse + vb}


def _mean(x: Array, index: Array) -> Array:
    """Over the axes after those of the levels."""
    return jnp.mean(x, axis=tuple(range(index.ndim, x.ndim)))


def _range(process: Process, variance: Array, index: Array) -> tuple[Array, Array]:
    """log β̃_t and what (2) adds to it: log σ² is their sum."""
    least = posterior_log_variance(process)
    widest = at_levels(np.log(betas(process)) - least, index, ndim=variance.ndim)
    return at_levels(least, index, ndim=variance.ndim), (variance + 1.0) / 2.0 * widest


def _discretized_log_likelihood(x: Array, miss: Array, log_scale: Array) -> Array:
    """log P that a Gaussian at x − miss falls within 1/255 of x, at most 27.6 (log 10¹²) below 0.

    The Gaussian's distribution function is Φ(u) ≈ (1 + tanh g(u)) / 2, g(u) = √(2/π) (u + 0.044715 u³), as in
    the published code; beyond ±0.999 the interval is open. tanh a − tanh b = sinh(a − b) / (cosh a cosh b)
    keeps the tails, and g(u + h) − g(u − h) is expanded for the same reason.
    """
    scale = math.sqrt(2.0 / math.pi)
    inverse = jnp.exp(-log_scale)
    u, h = inverse * miss, inverse / 255.0

    def g(u: Array) -> Array:
        return scale * (u + 0.044715 * u**3)

    width = 2.0 * scale * h * (1.0 + 0.044715 * (3.0 * u**2 + h**2))
    inside = _log_sinh(width) - _log_cosh(g(u + h)) - _log_cosh(g(u - h)) - math.log(2.0)
    below, above = jax.nn.log_sigmoid(2.0 * g(u + h)), jax.nn.log_sigmoid(-2.0 * g(u - h))
    return jnp.maximum(jnp.where(x < -0.999, below, jnp.where(x > 0.999, above, inside)), math.log(1e-12))


def _log_cosh(x: Array) -> Array:
    return jnp.abs(x) + jnp.log1p(jnp.exp(-2.0 * jnp.abs(x))) - math.log(2.0)


def _log_sinh(x: Array) -> Array:
    return x + jnp.log(-jnp.expm1(-2.0 * x)) - math.log(2.0)
