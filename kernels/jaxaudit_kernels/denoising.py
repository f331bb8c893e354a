"""How well a diffusion model denoises an image: the errors that membership attacks measure.

With z the image's latents, ε standard Gaussian noise, f(z_t, t) the noise the model sees in z_t, and
signal_t = √ᾱ_t, spread_t = √(1 − ᾱ_t):

    (1)  z_t = signal_t z + spread_t ε
    (2)  denoising loss    ‖ε − f(z_t, t)‖₂
    (3)  DDIM              φ(z_s; s → t) = signal_t (z_s − spread_s f(z_s, s)) / signal_s + spread_t f(z_s, s)
    (4)  SecMI             x = φ(... φ(z; t_0 → t_1) ...; t_{n−1} → t_n);   ‖x − φ(φ(x; t_n → t_{n+1}); t_{n+1} → t_n)‖₂
    (5)  PIA               ‖e − f(signal_t z + spread_t e, t)‖_p,   e = f(z, 0)
    (6)  PIAN              (5) with e scaled to the mean magnitude of a Gaussian, ⟨|e|⟩ = √(2/π)

Sources: (2) Carlini et al. 2023, "Extracting training data from diffusion models". (3) Song et al. 2021.
(4) Duan et al., "Are diffusion models vulnerable to membership inference attacks?", ICML 2023: SecMI_stat.
(5), (6) Kong et al., "An efficient membership inference attack for the diffusion model by proximal
initialization", ICLR 2024.

`predict` is a model: (z_t [B,h,w,c], time [B], condition) -> ε̂ [B,h,w,c]. Every image is measured alone: no
result depends on the rest of the batch.

Axes: B images, h and w latent pixels, c channels, S steps of a chain.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from jaxaudit_kernels.diffusion import Schedule

Predict = Callable[[Array, Array, Any], Array]
"""A model of the noise, see the module."""

CLEAN = -1
"""The index of no noise at all, one before the first of a schedule."""

GAUSSIAN_MAGNITUDE = math.sqrt(2 / math.pi)
"""Mean magnitude of a standard Gaussian."""


class NoiseLevel(NamedTuple):
    """How much noise there is, and what the model is told of it; one for each image, or along more axes.

    Attributes:
      signal, spread: float32, see (1).
      time: what the network is told.
    """

    signal: Float[Array, "..."]
    spread: Float[Array, "..."]
    time: Num[Array, "..."]


def noise_levels(schedule: Schedule, index: Int[Array, "..."]) -> NoiseLevel:
    """The levels at indexes 0 .. T-1 of a schedule, or CLEAN, in the shape of `index`.

    At CLEAN ᾱ = 1, and the network is told the time before the schedule's first.
    """
    level = np.append(schedule.alphas_cumprod, 1.0)  # CLEAN reads the last entry
    time = np.append(schedule.timesteps, schedule.timesteps[0] - 1)
    tables = (np.sqrt(level).astype(np.float32), np.sqrt(1.0 - level).astype(np.float32), time)
    return NoiseLevel(*(jnp.asarray(table)[index] for table in tables))


def norm(x: Float[Array, " B *shape"], p: int = 2) -> Float[Array, " B"]:
    """The p-norm of each image, float32; its gradient at 0 is 0."""
    total = jnp.sum(jnp.abs(x) ** p, axis=tuple(range(1, x.ndim)))
    positive = total > 0
    return jnp.where(positive, jnp.where(positive, total, 1.0) ** (1 / p), 0.0)


def add_noise(
    latents: Float[Array, "B h w c"], level: NoiseLevel, noise: Float[Array, "B h w c"]
) -> Float[Array, "B h w c"]:
    """z_t of (1), float32; the level's arrays are [B]."""
    return _wide(level.signal) * latents + _wide(level.spread) * noise


def denoising_loss(
    predict: Predict,
    latents: Float[Array, "B h w c"],
    level: NoiseLevel,
    condition: Any,
    noise: Float[Array, "B h w c"],
) -> Float[Array, " B"]:
    """(2), float32; lower for members."""
    return norm(noise - predict(add_noise(latents, level, noise), level.time, condition))


def ddim(
    z: Float[Array, "B h w c"], level: NoiseLevel, to: NoiseLevel, eps: Float[Array, "B h w c"]
) -> Float[Array, "B h w c"]:
    """(3): latents at `level` moved to the level `to`, in either direction, along ε̂ = `eps`."""
    clean = (z - _wide(level.spread) * eps) / _wide(level.signal)
    return _wide(to.signal) * clean + _wide(to.spread) * eps


def ddim_chain(
    predict: Predict,
    z: Float[Array, "B h w c"],
    levels: NoiseLevel,
    condition: Any,
    *,
    first: Float[Array, "B h w c"] | None = None,
) -> Float[Array, "S B h w c"]:
    """The latents after every step of a chain of (3).

    Args:
      predict: the model.
      z: latents at the first level.
      levels: [S+1,B], the levels in the order in which they are passed.
      condition: what the model is given.
      first: ε̂ at the first level, if it is known already.
    """
    here, there = (jax.tree.map(lambda x, cut=cut: x[cut], levels) for cut in (slice(-1), slice(1, None)))

    def step(z: Array, pair: tuple[NoiseLevel, NoiseLevel]) -> tuple[Array, Array]:
        moved = ddim(z, *pair, predict(z, pair[0].time, condition))
        return moved, moved

    if first is None:
        return jax.lax.scan(step, z, (here, there))[1]
    head, rest = (jax.tree.map(lambda x, cut=cut: x[cut], (here, there)) for cut in (0, slice(1, None)))
    moved = ddim(z, *head, first)
    return jnp.concatenate([moved[None], jax.lax.scan(step, moved, rest)[1]])


def secmi_error(states: Float[Array, "S B h w c"]) -> Float[Array, " B"]:
    """(4) from the `ddim_chain` over t_0, ..., t_n, t_{n+1}, t_n."""
    return norm(states[-3] - states[-1])


def secmi(
    predict: Predict, latents: Float[Array, "B h w c"], levels: NoiseLevel, condition: Any
) -> Float[Array, " B"]:
    """(4), float32; lower for members. `levels` [S+1,B] are those of t_0, ..., t_n, t_{n+1}, t_n."""
    return secmi_error(ddim_chain(predict, latents, levels, condition))


def scale_to_magnitude(eps: Float[Array, " B *shape"], magnitude: float) -> Float[Array, " B *shape"]:
    """Scales each image to the mean magnitude ⟨|e|⟩ = `magnitude`."""
    mean = jnp.mean(jnp.abs(eps), axis=tuple(range(1, eps.ndim)), keepdims=True)
    return eps * (magnitude / mean)


def pia(
    predict: Predict,
    latents: Float[Array, "B h w c"],
    zero: NoiseLevel,
    level: NoiseLevel,
    condition: Any,
    *,
    p: int,
    magnitude: float | None = None,
) -> Float[Array, " B"]:
    """(5), with a `magnitude` (6), float32; lower for members. `zero` is the level of e = f(z, 0)."""
    eps = predict(latents, zero.time, condition)
    if magnitude is not None:
        eps = scale_to_magnitude(eps, magnitude)
    return norm(eps - predict(add_noise(latents, level, eps), level.time, condition), p)


def _wide(x: Float[Array, " B"]) -> Float[Array, "B 1 1 1"]:
    return x[:, None, None, None]
