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

`denoise` is a model: (z_t [B,h,w,c], index of the level [B], condition) -> what it sees, `Denoised`: ε̂ of f.
Every image is measured alone: no result depends on the rest of the batch.

Axes: B images, h and w latent pixels, c channels, S steps of a chain.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxaudit_kernels.process import Denoised, NoiseLevel, add_noise

Denoise = Callable[[Array, Array, Any], Denoised]
"""A model of the noise, see the module."""

GAUSSIAN_MAGNITUDE = math.sqrt(2 / math.pi)
"""Mean magnitude of a standard Gaussian."""


def norm(x: Float[Array, " B *shape"], *, p: int = 2) -> Float[Array, " B"]:
    """The p-norm of each image, float32; its gradient at 0 is 0."""
    total = jnp.sum(jnp.abs(x) ** p, axis=tuple(range(1, x.ndim)))
    positive = total > 0
    return jnp.where(positive, jnp.where(positive, total, 1.0) ** (1 / p), 0.0)


def denoising_loss(
    denoise: Denoise,
    latents: Float[Array, "B h w c"],
    level: NoiseLevel,
    condition: Any,
    noise: Float[Array, "B h w c"],
) -> Float[Array, " B"]:
    """(2), float32; lower for members."""
    return norm(noise - denoise(add_noise(latents, level, noise), level.index, condition).eps)


def ddim(
    z: Float[Array, " B *shape"], level: NoiseLevel, to: NoiseLevel, eps: Float[Array, " B *shape"]
) -> Float[Array, " B *shape"]:
    """(3): latents at `level` moved to the level `to`, in either direction, along ε̂ = `eps`."""
    (signal, spread), (to_signal, to_spread) = level.over(z), to.over(z)
    clean = (z - spread * eps) / signal
    return to_signal * clean + to_spread * eps


def ddim_chain(
    denoise: Denoise,
    z: Float[Array, "B h w c"],
    levels: NoiseLevel,
    condition: Any,
    *,
    first: Float[Array, "B h w c"] | None = None,
) -> Float[Array, "S B h w c"]:
    """The latents after every step of a chain of (3).

    Args:
      denoise: the model.
      z: latents at the first level.
      levels: [S+1,B], the levels in the order in which they are passed.
      condition: what the model is given.
      first: ε̂ at the first level, if it is known already.
    """
    here, there = (jax.tree.map(lambda x, cut=cut: x[cut], levels) for cut in (slice(-1), slice(1, None)))

    def step(z: Array, pair: tuple[NoiseLevel, NoiseLevel]) -> tuple[Array, Array]:
        moved = ddim(z, pair[0], pair[1], denoise(z, pair[0].index, condition).eps)
        return moved, moved

    if first is None:
        return jax.lax.scan(step, z, (here, there))[1]
    head, rest = (jax.tree.map(lambda x, cut=cut: x[cut], (here, there)) for cut in (0, slice(1, None)))
    moved = ddim(z, head[0], head[1], first)
    return jnp.concatenate([moved[None], jax.lax.scan(step, moved, rest)[1]])


def ddim_predictions(
    denoise: Denoise,
    z: Float[Array, "B h w c"],
    levels: NoiseLevel,
    condition: Any,
    *,
    first: Float[Array, "B h w c"],
) -> Float[Array, "S B h w c"]:
    """The ε̂ that a chain of (3) follows, one at each of its levels.

    Args:
      denoise: the model.
      z: latents at the first level.
      levels: [S,B], the levels in the order in which they are passed, two or more.
      condition: what the model is given.
      first: ε̂ at the first level.
    """
    here, there = (jax.tree.map(lambda x, cut=cut: x[cut], levels) for cut in (slice(-1), slice(1, None)))

    def step(state: tuple[Array, Array], pair: tuple[NoiseLevel, NoiseLevel]) -> Any:
        moved = ddim(state[0], pair[0], pair[1], state[1])
        eps = denoise(moved, pair[1].index, condition).eps
        return (moved, eps), eps

    _, rest = jax.lax.scan(step, (z, first), (here, there))
    return jnp.concatenate([first[None], rest])


def disagreement(eps: Float[Array, "S B h w c"]) -> Float[Array, " B"]:
    """The mean of ‖ε̂_i − ε̂_j‖² over all pairs, i = j among them: twice the variance."""
    deviation = eps - jnp.mean(eps, axis=0, keepdims=True)
    return 2 * jnp.mean(jnp.sum(jnp.square(deviation), axis=(2, 3, 4)), axis=0)


def secmi_error(states: Float[Array, "S B h w c"]) -> Float[Array, " B"]:
    """(4) from the `ddim_chain` over t_0, ..., t_n, t_{n+1}, t_n."""
    return norm(states[-3] - states[-1])


def secmi(
    denoise: Denoise, latents: Float[Array, "B h w c"], levels: NoiseLevel, condition: Any
) -> Float[Array, " B"]:
    """(4), float32; lower for members. `levels` [S+1,B] are those of t_0, ..., t_n, t_{n+1}, t_n."""
    return secmi_error(ddim_chain(denoise, latents, levels, condition))


def scale_to_magnitude(eps: Float[Array, " B *shape"], magnitude: float) -> Float[Array, " B *shape"]:
    """Scales each image to the mean magnitude ⟨|e|⟩ = `magnitude`."""
    mean = jnp.mean(jnp.abs(eps), axis=tuple(range(1, eps.ndim)), keepdims=True)
    return eps * (magnitude / mean)


def pia(
    denoise: Denoise,
    latents: Float[Array, "B h w c"],
    zero: NoiseLevel,
    level: NoiseLevel,
    condition: Any,
    *,
    p: int,
    magnitude: float | None = None,
) -> Float[Array, " B"]:
    """(5), with a `magnitude` (6), float32; lower for members. `zero` is the level of e = f(z, 0)."""
    eps = denoise(latents, zero.index, condition).eps
    if magnitude is not None:
        eps = scale_to_magnitude(eps, magnitude)
    return norm(eps - denoise(add_noise(latents, level, eps), level.index, condition).eps, p=p)
