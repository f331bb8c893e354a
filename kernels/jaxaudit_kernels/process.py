"""Gaussian processes from latents to noise, which diffusion and flow models are trained to undo.

A process has T levels, from nearly clean to nearly noise. At each of them the network reads x, is told a time
τ, and predicts o:

    (1)  x = s x_0 + σ ε          x_0 clean, ε standard Gaussian; s is the signal, σ the spread
    (2)  o = a x_0 + b ε          (a, b) = (0, 1): the noise;  (1, 0): clean x_0;  (−σ, s): "v";
                                  (ds/dτ, dσ/dτ): the velocity along the path

Processes differ in how large they draw x, in the times they tell and in what they predict. None of this
matters to who looks at them in variance-preserving coordinates,

    (3)  x_t = x / c = √ᾱ x_0 + √(1 − ᾱ) ε,    c = √(s² + σ²),    ᾱ = s² / c²

where t is the index of a level, and reads every prediction as one of the noise, by eliminating x_0:

    (4)  ε̂ = (s o − a c x_t) / (s b − a σ)

Attacks do: they see (x_t, t) -> ε̂, so a new process is a new `Process` and nothing else. `jaxaudit_kernels.
processes` declares those of known models. The error of what the network itself predicts is that of the noise,
in other units:

    (5)  o − ô = (s b − a σ) / s · (ε − ε̂)

Scores are named by the timesteps 0 .. 999 of Ho et al. 2020, who have 1,000 levels. A process with another
number has timestep t at the level that lies at the same share of the way, round(t (T − 1) / 999). It is the
share and not the same ᾱ, so that with 1,000 levels timestep t is level t in every family, as audits count
that are published, though DiT and U-ViT differ in ᾱ there. Where a network knows any level (flows), those of
its declaration can be chosen with the ᾱ of other families.

Sources: (1), (3) Ho et al. 2020, Kingma et al. 2021 (arXiv 2107.00630). "v": Salimans & Ho 2022 (arXiv
2202.00512). Velocities: Lipman et al. 2023 (arXiv 2210.02747), Ma et al. 2024 (arXiv 2401.08740).

Axes: T levels, ... the leading axes (one level each), C channels (last).

Levels' axes are the leading axes of x, of length 1 where one level serves all.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Num, Shaped

NUM_TIMESTEPS = 1000
"""Timesteps by which scores are named."""

CLEAN = -1
"""The level of no noise at all, one before the first."""


class Prediction(NamedTuple):
    """(2): a and b, for all levels or for each; float64."""

    clean: float | Float64[np.ndarray, " T"]
    noise: float | Float64[np.ndarray, " T"]


NOISE = Prediction(clean=0.0, noise=1.0)
"""The noise itself."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Process:
    """What a diffusion or flow model was trained to undo, see the module.

    Attributes:
      signal, spread: s and σ of (1), float64.
      times: τ, what the network is told; integers where it counts levels, in this way or in fractions.
      predicts: (2).

    Raises:
      ValueError: for less than 2 levels, tables of unequal length, a signal or spread that is negative or not
        finite, levels that do not go from clean to noise, or predictions that do not tell the noise (4).
    """

    signal: Float64[np.ndarray, " T"]
    spread: Float64[np.ndarray, " T"]
    times: Num[np.ndarray, " T"]
    predicts: Prediction = NOISE

    def __post_init__(self):
        if len(self.signal) < 2:
            raise ValueError(f"A process needs at least 2 levels, not {len(self.signal)}.")
        if not len(self.signal) == len(self.spread) == len(self.times):
            raise ValueError(
                f"{len(self.signal)} signals, {len(self.spread)} spreads and {len(self.times)} times: "
                "each level needs one of each."
            )
        for name, table in (("signal", self.signal), ("spread", self.spread)):
            if wrong := np.flatnonzero(~(np.isfinite(table) & (table >= 0))).tolist():
                raise ValueError(
                    f"Level {wrong[0]} has {name}={table[wrong[0]]}; it must be 0 or more and finite."
                )
        if wrong := np.flatnonzero((self.signal == 0) & (self.spread == 0)).tolist():
            raise ValueError(f"Level {wrong[0]} has neither signal nor noise.")
        if wrong := np.flatnonzero(np.diff(self.alphas_cumprod) >= 0).tolist():
            raise ValueError(f"Level {wrong[0] + 1} has no more noise than the one before.")
        told = np.abs(self.determinant) > 1e-9 * self.scale * np.hypot(*self.predicts)
        if not self.predicts_noise and not np.all(told):
            level = int(np.flatnonzero(~told)[0])
            raise ValueError(f"What is predicted at level {level} does not tell the noise.")

    @property
    def num_levels(self) -> int:
        """T."""
        return len(self.signal)

    @functools.cached_property
    def alphas_cumprod(self) -> Float64[np.ndarray, " T"]:
        """ᾱ of (3): the share of the variance that is signal."""
        return self.signal**2 / (self.signal**2 + self.spread**2)

    @functools.cached_property
    def scale(self) -> Float64[np.ndarray, " T"]:
        """c of (3)."""
        return np.hypot(self.signal, self.spread)

    @functools.cached_property
    def predicts_noise(self) -> bool:
        """Whether (2) is the noise itself."""
        return bool(np.all(self.predicts.clean == 0.0) and np.all(self.predicts.noise == 1.0))

    @property
    def predicts_velocity(self) -> bool:
        """Whether (2) has a share of both, as velocities have."""
        return not self.predicts_noise and bool(np.all(np.multiply(*self.predicts)))

    @property
    def counts_timesteps(self) -> bool:
        """Whether the network predicts noise and is told timesteps, 0 .. 999 or 1 .. 1000."""
        counted = np.issubdtype(self.times.dtype, np.integer) and self.num_levels == NUM_TIMESTEPS
        return self.predicts_noise and counted and bool(np.all(np.diff(self.times) == 1))

    @property
    def determinant(self) -> Float64[np.ndarray, " T"]:
        """s b − a σ of (4); where it is 0, the prediction does not tell the noise."""
        return self.signal * self.predicts.noise - self.predicts.clean * self.spread

    @property
    def error_scale(self) -> Float64[np.ndarray, " T"]:
        """The magnitude of o − ô for a unit of ε − ε̂, (5)."""
        return np.abs(self.determinant / self.signal)

    def level_of_share(self, noise: float) -> int:
        """The level where the share of noise, σ / (s + σ), is nearest to this."""
        return int(np.argmin(np.abs(self.spread / (self.signal + self.spread) - noise)))

    def level(self, timestep: int) -> int:
        """The level of a timestep 0 .. 999, see the module.

        Raises:
          ValueError: if there is no such timestep.
        """
        if not 0 <= timestep < NUM_TIMESTEPS:
            raise ValueError(f"Timestep {timestep} is not in 0..{NUM_TIMESTEPS - 1}.")
        return round(timestep * (self.num_levels - 1) / (NUM_TIMESTEPS - 1))

    def at(self, levels: Int[np.ndarray, " S"]) -> Process:
        """The process of some of the levels, in order."""
        clean, noise = (each[levels] if isinstance(each, np.ndarray) else each for each in self.predicts)
        return Process(
            signal=self.signal[levels],
            spread=self.spread[levels],
            times=self.times[levels],
            predicts=Prediction(clean, noise),
        )


class NoiseLevel(NamedTuple):
    """How much noise there is in x_t of (3), for each image, or along more axes.

    Attributes:
      signal, spread: √ᾱ and √(1 − ᾱ), float32.
      index: of the level.
    """

    signal: Float[Array, "..."]
    spread: Float[Array, "..."]
    index: Int[Array, "..."]

    def over(self, x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Signal and spread with axes of length 1 up to those of x.

        Raises:
          ValueError: if x has fewer axes.
        """
        return expand(self.signal, x.ndim), expand(self.spread, x.ndim)


class Denoised(NamedTuple):
    """What a network sees in x_t.

    Attributes:
      eps: the noise ε̂, (4).
      variance: v of `jaxaudit_kernels.learned_variance`, None where it is not learned.
    """

    eps: Float[Array, "... C"]
    variance: Float[Array, "... C"] | None = None


def noise_levels(process: Process, index: Int[Array, "..."]) -> NoiseLevel:
    """The levels 0 .. T-1 of a process, or CLEAN (ᾱ = 1), in the shape of `index`."""
    level = process.alphas_cumprod
    return NoiseLevel(
        at_levels(np.sqrt(level), index, clean=1.0), at_levels(np.sqrt(1.0 - level), index, clean=0.0), index
    )


def add_noise(
    x_start: Float[Array, "... C"], level: NoiseLevel, noise: Float[Array, "... C"]
) -> Float[Array, "... C"]:
    """x_t of (3), float32."""
    signal, spread = level.over(noise)
    return signal * x_start + spread * noise


def network_input(
    process: Process, x_t: Float[Array, "... C"], index: Int[Array, "..."]
) -> tuple[Float[Array, "... C"], Num[Array, "..."]]:
    """x of (1) for x_t at levels of the process, and the times the network is told, in the shape of `index`.

    At CLEAN a network that counts levels is told one less than at the first. Others know no such time.
    """
    counts = np.issubdtype(process.times.dtype, np.integer)
    times = np.append(process.times, process.times[0] - 1 if counts else np.nan)
    times = jnp.asarray(times.astype(np.int32 if counts else np.float32))
    if not np.allclose(process.scale, 1.0, rtol=0.0, atol=1e-9):
        x_t = at_levels(process.scale, index, ndim=x_t.ndim, clean=1.0) * x_t
    return x_t, times[index]


def denoised(
    process: Process, output: Float[Array, "... out"], x_t: Float[Array, "... C"], index: Int[Array, "..."]
) -> Denoised:
    """A network's output on `network_input(process, x_t, index)` as a prediction of the noise, (4), float32.

    Channels after the first C are the learned variance of a process that predicts noise. Others have none:
    what their networks put there is trained by nothing (SiT) and left out.

    Raises:
      ValueError: if there are neither C nor 2 C channels.
    """
    predicted, rest = split_channels(output, x_t.shape[-1])
    if process.predicts_noise:
        return Denoised(predicted, rest)
    share = at_levels(process.signal / process.determinant, index, ndim=x_t.ndim)
    pull = process.predicts.clean * process.scale / process.determinant
    return Denoised(share * predicted - at_levels(pull, index, ndim=x_t.ndim) * x_t)


def what_is_predicted(
    process: Process, x_start: Float[Array, "... C"], noise: Float[Array, "... C"], index: Int[Array, "..."]
) -> Float[Array, "... C"]:
    """o of (2), float32: what training makes the network's output to be."""
    if process.predicts_noise:
        return noise
    a, b = (np.broadcast_to(each, process.signal.shape) for each in process.predicts)
    return at_levels(a, index, ndim=noise.ndim) * x_start + at_levels(b, index, ndim=noise.ndim) * noise


def split_channels(
    output: Float[Array, "... out"], channels: int
) -> tuple[Float[Array, "... C"], Float[Array, "... C"] | None]:
    """The first C channels of a network's output, and the others, None if there are none.

    Raises:
      ValueError: if there are neither C nor 2 C.
    """
    if output.shape[-1] == channels:
        return output, None
    if output.shape[-1] == 2 * channels:
        return output[..., :channels], output[..., channels:]
    raise ValueError(
        f"The network's output has {output.shape[-1]} channels; expected {channels} or {2 * channels}."
    )


def at_levels(
    table: Float64[np.ndarray, " T"],
    index: Int[Array, "..."],
    *,
    ndim: int | None = None,
    clean: float = np.nan,
) -> Float[Array, "..."]:
    """table[index] as float32 (rounded only now), `clean` at CLEAN; with axes of length 1 up to `ndim`.

    Raises:
      ValueError: if `index` has more axes.
    """
    found = jnp.asarray(np.append(table, clean).astype(np.float32))[index]  # CLEAN reads the last entry
    return found if ndim is None else expand(found, ndim)


def expand(x: Shaped[Array, "..."], ndim: int) -> Shaped[Array, "..."]:
    """x with axes of length 1 up to `ndim`.

    Raises:
      ValueError: if it has more.
    """
    if x.ndim > ndim:
        raise ValueError(f"Levels with {x.ndim} axes do not fit data with {ndim}.")
    return x.reshape(x.shape + (1,) * (ndim - x.ndim))
