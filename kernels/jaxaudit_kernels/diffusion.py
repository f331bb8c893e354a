"""Gaussian diffusion: noise schedules, noising, the learned-variance loss and reverse steps.

    (1)  q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   ᾱ_t = ∏_{s ≤ t} α_s,   α_s = 1 − β_s
    (2)  x_0 = x_t / √ᾱ_t − √(1/ᾱ_t − 1) ε
    (3)  q(x_{t−1} | x_t, x_0) has the variance β̃_t = β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t)
    (4)  p(x_{t−1} | x_t) = N((x_t − β_t/√(1−ᾱ_t) ε̂) / √α_t, σ²),
         log σ² = f log β_t + (1 − f) log β̃_t,   f = (v + 1)/2,   for a network's outputs ε̂ and v
    (5)  mse = mean (ε − ε̂)²
    (6)  vb = KL(q ‖ p) / log 2 for t > 0; its two means differ by exactly β_t (ε − ε̂) / √(α_t (1 − ᾱ_t))
    (7)  vb = −log₂ P(x_0 within ±1/255 | p) for t = 0
    (8)  DDIM: x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s) ε̂

(1)–(3), (5): Ho et al. 2020. (4), (6), (7), the cosine schedule: Nichol & Dhariwal 2021. (8): Song et al.
2021. β̃_0 = 0, so its logarithm is taken from β̃_1. (6) and (7) are computed without the differences of nearly
equal numbers of the usual form, which at small t cost float32 most of its digits.

Axes: T steps of a schedule, ... the leading axes (one timestep each), C channels (last).

Timesteps `t` are indexes 0 .. T-1 of the schedule; their axes are the leading axes of x, of length 1 where
one timestep serves all. What follows those axes in x is averaged in losses.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """The noise levels of a diffusion process, float64.

    Attributes:
      betas: β_t, [T].
      timesteps: [T] int32, the time the network is told at each index: 0 .. T-1 unless respaced.
    """

    betas: np.ndarray
    timesteps: np.ndarray

    @functools.cached_property
    def alphas_cumprod(self) -> np.ndarray:
        """ᾱ_t, [T] float64."""
        return np.cumprod(1.0 - self.betas)

    @functools.cached_property
    def alphas_cumprod_prev(self) -> np.ndarray:
        """ᾱ_{t−1}, [T] float64; 1 at t = 0."""
        return np.append(1.0, self.alphas_cumprod[:-1])

    @functools.cached_property
    def posterior_log_variance(self) -> np.ndarray:
        """log β̃_t of (3), [T] float64; that of t = 1 at t = 0, where β̃ is 0."""
        variance = self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)
        return np.log(np.append(variance[1:2], variance[1:]))


def linear_schedule(steps: int = 1000, *, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """β from `first` to `last` in equal steps (Ho et al. 2020; the defaults are those of 1000 steps)."""
    _check_steps(steps)
    return Schedule(np.linspace(first, last, steps), np.arange(steps, dtype=np.int32))


def cosine_schedule(steps: int = 1000, *, largest_beta: float = 0.999) -> Schedule:
    """ᾱ ∝ cos²((t/T + 0.008)/1.008 · π/2), β cut off at `largest_beta` (Nichol & Dhariwal 2021, eq. 17)."""
    _check_steps(steps)
    level = [math.cos((i / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(steps + 1)]
    betas = [min(1.0 - after / before, largest_beta) for before, after in itertools.pairwise(level)]
    return Schedule(np.array(betas), np.arange(steps, dtype=np.int32))


def respace(schedule: Schedule, steps: int) -> Schedule:
    """`steps` of a schedule's times, from first to last in equal (fractional, then rounded) strides.

    ᾱ is kept at the times that remain, and `timesteps` names them, so that a network trained on all of them
    is told the noise level it knows.

    Raises:
      ValueError: if `steps` is not in 2 .. T.
    """
    total = len(schedule.betas)
    if not 2 <= steps <= total:
        raise ValueError(f"steps={steps} is not in 2..{total}.")
    stride = (total - 1) / (steps - 1)
    kept = np.rint(np.cumsum([0.0] + [stride] * (steps - 1))).astype(int)
    level = schedule.alphas_cumprod[kept]
    return Schedule(1.0 - level / np.append(1.0, level[:-1]), schedule.timesteps[kept])


def timestep_embedding(t: Int[Array, "..."], dim: int) -> Float[Array, "... {dim}"]:
    """float32 [...,dim]: cosines, then sines, of t at the frequencies 10⁴^(−i / half), half = dim // 2."""
    half = dim // 2
    frequencies = jnp.exp(-math.log(1e4) * jnp.arange(half, dtype=jnp.float32) / half)
    angles = t[..., None].astype(jnp.float32) * frequencies.reshape((1,) * jnp.ndim(t) + (half,))
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def q_sample(
    schedule: Schedule, x_start: Float[Array, "... C"], t: Int[Array, "..."], noise: Float[Array, "... C"]
) -> Float[Array, "... C"]:
    """x_t of (1) for standard Gaussian `noise`, float32."""
    signal = _at(np.sqrt(schedule.alphas_cumprod), t, x_start.ndim)
    return signal * x_start + _at(np.sqrt(1.0 - schedule.alphas_cumprod), t, noise.ndim) * noise


def predict_x_start(
    schedule: Schedule, x_t: Float[Array, "... C"], t: Int[Array, "..."], eps: Float[Array, "... C"]
) -> Float[Array, "... C"]:
    """x̂_0 of (2), float32."""
    level = schedule.alphas_cumprod
    return _at(np.sqrt(1.0 / level), t, x_t.ndim) * x_t - _at(np.sqrt(1.0 / level - 1.0), t, x_t.ndim) * eps


def p_mean_log_variance(
    schedule: Schedule, x_t: Float[Array, "... C"], t: Int[Array, "..."], output: Float[Array, "... 2*C"]
) -> tuple[Float[Array, "... C"], Float[Array, "... C"]]:
    """Mean and log-variance of p(x_{t−1} | x_t), (4), both float32 and of x_t's shape.

    Args:
      schedule: the noise levels.
      x_t: noised data.
      t: indexes of the schedule, see the module's header.
      output: of the network: ε̂, then v, along the last axis.

    Raises:
      ValueError: if `output` does not have twice the channels of `x_t`.
    """
    eps, v = _split(output, x_t)
    noise_weight = schedule.betas / np.sqrt(1.0 - schedule.alphas_cumprod)
    mean = _at(1.0 / np.sqrt(1.0 - schedule.betas), t, x_t.ndim) * (
        x_t - _at(noise_weight, t, x_t.ndim) * eps
    )
    least, gap = _learned_range(schedule, v, t)
    return mean, least + gap


def ancestral_step(
    schedule: Schedule,
    x_t: Float[Array, "... C"],
    t: Int[Array, "..."],
    output: Float[Array, "... 2*C"],
    noise: Float[Array, "... C"],
    *,
    temperature: float = 1.0,
) -> Float[Array, "... C"]:
    """A draw of x_{t−1} from p(x_{t−1} | x_t), (4); its mean where t = 0.

    Args:
      schedule, x_t, t, output: as in `p_mean_log_variance`.
      noise: standard Gaussian.
      temperature: multiplies the standard deviation.
    """
    mean, log_variance = p_mean_log_variance(schedule, x_t, t, output)
    noisy = _expand(t != 0, x_t.ndim)
    return jnp.where(noisy, mean + temperature * jnp.exp(0.5 * log_variance) * noise, mean)


def ddim_step(
    schedule: Schedule,
    x_t: Float[Array, "... C"],
    t: Int[Array, "..."],
    t_to: Int[Array, "..."],
    eps: Float[Array, "... C"],
) -> Float[Array, "... C"]:
    """x at the index `t_to`, before or after `t`, by the deterministic step (8), float32.

    `t_to` = -1 is the clean end (ᾱ = 1).
    """
    level = np.append(schedule.alphas_cumprod, 1.0)  # -1 reads the last entry
    signal, spread = _at(np.sqrt(level), t_to, x_t.ndim), _at(np.sqrt(1.0 - level), t_to, x_t.ndim)
    return signal * predict_x_start(schedule, x_t, t, eps) + spread * eps


def training_losses(
    schedule: Schedule,
    output: Float[Array, "... out"],
    x_start: Float[Array, "... C"],
    t: Int[Array, "..."],
    noise: Float[Array, "... C"],
) -> dict[str, Float[Array, "..."]]:
    """The loss of a network with learned variance, per timestep.

    Args:
      schedule: the noise levels the network was trained on.
      output: of the network on q_sample(schedule, x_start, t, noise): ε̂, then v, along the last axis.
      x_start: clean data.
      t: indexes of the schedule, see the module's header.
      noise: the ε in x_t.

    Returns:
      "mse" (5), "vb" (6, 7) in bits and "loss", their sum: float32, averaged over the axes of x after those
      of t. vb's gradient reaches the variance v only.

    Raises:
      ValueError: if `output` does not have twice the channels of `x_start`.
    """
    eps, v = _split(output, x_start)
    features = tuple(range(jnp.ndim(t), x_start.ndim))
    mse = jnp.mean(jnp.square(noise - eps), axis=features)

    error = noise - jax.lax.stop_gradient(eps)
    least, gap = _learned_range(schedule, v, t)
    alphas, level = 1.0 - schedule.betas, schedule.alphas_cumprod
    weight = _at(schedule.betas / np.sqrt(alphas * (1.0 - level)), t, error.ndim)
    kl = 0.5 * (gap + jnp.expm1(-gap) + jnp.square(weight * error) * jnp.exp(-least - gap))
    miss = _at(np.sqrt(1.0 / level - 1.0), t, error.ndim) * -error  # x_0 less the mean of p, at t = 0
    first = -_discretized_log_likelihood(x_start, miss, 0.5 * (least + gap))
    vb = jnp.mean(jnp.where(_expand(t == 0, x_start.ndim), first, kl), axis=features) / math.log(2.0)
    return {"mse": mse, "vb": vb, "loss": mse + vb}


def _learned_range(schedule: Schedule, v: Array, t: Array) -> tuple[Array, Array]:
    """log β̃_t and what (4) adds to it: log σ² is their sum."""
    least = schedule.posterior_log_variance
    widest = np.log(schedule.betas) - least
    return _at(least, t, v.ndim), (v + 1.0) / 2.0 * _at(widest, t, v.ndim)


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


def _split(output: Array, x: Array) -> tuple[Array, Array]:
    channels = x.shape[-1]
    if output.shape[-1] != 2 * channels:
        raise ValueError(f"The network's output has {output.shape[-1]} channels; expected {2 * channels}.")
    return output[..., :channels], output[..., channels:]


def _at(table: np.ndarray, t: Array, ndim: int) -> Float[Array, "..."]:
    """table[t] as float32 (rounded only now), with axes of length 1 up to `ndim`."""
    return _expand(jnp.asarray(table.astype(np.float32))[t], ndim)


def _expand(x: Array, ndim: int) -> Array:
    if x.ndim > ndim:
        raise ValueError(f"Timesteps with {x.ndim} axes do not fit data with {ndim}.")
    return x.reshape(x.shape + (1,) * (ndim - x.ndim))


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise ValueError(f"A schedule needs at least 2 steps, not {steps}.")
