"""Scores from what noise a diffusion model sees, without asking whether it is the one that was put in.

With z the latents of an image, z_t = √ᾱ_t z + √(1 − ᾱ_t) ε and f the noise that the model sees:

    (1)  sima_t       −‖f(z_t, t)‖₄
    (2)  sima_mc_n    −‖⟨f(z_100, 100)⟩‖₄,  the mean of the vectors over n noises
    (3)  sima_clean_t −‖f(√ᾱ_t z, t)‖₄
    (4)  noise_agg    −log(⟨‖ε̂_i − ε̂_j‖²⟩ + δ),  ε̂_i = f along the DDIM chain from z_80 over t = 80, 70, …, 40

The noise that a model expects in an image points away from the mean of the training images around it: near
one of them it is small (1), the more so where what the noise ε adds is averaged out (2) or left out (3). In
(4) a model is sure of the noise in a member along the whole chain. Norms, not their fourth powers: one is
monotone in the other. (1) looks where `multiple_loss_t` does: t = 0, 100 and 200 take no pass of their own.

`sima_t_ref` is −‖f(z, t)‖₄, as the published code has it: (3) of latents that are not scaled; ask by name.
That code reports the t at which members and others of the evaluation differ most; here t is chosen on the
selection third, as every score is. (2) is what the published code averages, the text has the mean of the
norms. (4) is published with noise of a standard deviation of 0.1 at t = 80, which is none of the process;
here it is the noise of that level.

Axes: B images.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_graph import Cost, Node, Results, Run, Setting, stack
from jaxaudit.attacks.diffusion_nodes import Clean, Evaluation, noised
from jaxaudit.attacks.registry import score
from jaxaudit.attacks.sources import LI_2025, RAO_2025
from jaxaudit_kernels import denoising

SIMA_TIMESTEPS = (0, 50, 100, 150, 200)
"""t of (1), and but for 0 of (3)."""

_ORDER = 4
_MEAN_TIMESTEP = 100
_CHAIN = (80, 70, 60, 50, 40)
_DELTA = 1e-6


@dataclasses.dataclass(frozen=True)
class Quiet(Node):
    """z_t without its noise: √ᾱ z."""

    level: int

    def value(self, run: Run, results: Results) -> Float[Array, "B h w c"]:
        """[B,h,w,c]."""
        return float(np.sqrt(run.setting.process.alphas_cumprod[self.level])) * run.latents


@dataclasses.dataclass(frozen=True)
class MeanSize(Node):
    """‖⟨f(z_t, t)⟩‖₄, the mean over so many noises."""

    t: int
    num_noises: int = 1

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The predictions."""
        level = setting.level(self.t)
        return tuple(Evaluation(noised(level, noise=i), level) for i in range(self.num_noises))

    def value(self, run: Run, results: Results) -> Float[Array, " B"]:
        """[B]."""
        seen = stack([results[look].seen.eps for look in self.needs(run.setting)])
        return denoising.norm(jnp.mean(seen, axis=0), p=_ORDER)


@dataclasses.dataclass(frozen=True)
class QuietSize(Node):
    """‖f(√ᾱ_t z, t)‖₄; `published`: of z itself."""

    t: int
    published: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The prediction."""
        level = setting.level(self.t, published=self.published)
        return (Evaluation(Clean() if self.published else Quiet(level), level),)

    def value(self, run: Run, results: Results) -> Float[Array, " B"]:
        """[B]."""
        (look,) = self.needs(run.setting)
        return denoising.norm(results[look].seen.eps, p=_ORDER)


@dataclasses.dataclass(frozen=True)
class Disagreement(Node):
    """⟨‖ε̂_i − ε̂_j‖²⟩ along a DDIM chain through these timesteps, from z_t at the first."""

    timesteps: tuple[int, ...]

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """z_t, and the look at it."""
        level = setting.level(self.timesteps[0])
        return noised(level), Evaluation(noised(level), level)

    def cost(self) -> Cost:
        """One forward pass at every timestep but the first."""
        return Cost(forwards=len(self.timesteps) - 1)

    def value(self, run: Run, results: Results) -> Float[Array, " B"]:
        """[B]."""
        z_t, look = (results[need] for need in self.needs(run.setting))
        levels = run.levels([run.setting.level(t) for t in self.timesteps])
        chain = denoising.ddim_predictions(run.denoise, z_t, levels, run.condition, first=look.seen.eps)
        return denoising.disagreement(chain)


@score(
    "sima_{t}",
    kind="diffusion",
    published=True,
    grid={"t": SIMA_TIMESTEPS},
    views=lambda t: {"": (QuietSize(t, published=True),)},
    source=RAO_2025,
    on_request=True,
)
@score(
    "sima_{t}",
    kind="diffusion",
    grid={"t": SIMA_TIMESTEPS},
    views=lambda t: {"": (MeanSize(t),)},
    source=RAO_2025,
)
def sima(size: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the size of the predicted noise at one timestep (SimA).

    (1), Rao et al. 2025.
    """
    return -size


@score(
    "sima_mc_{n}",
    kind="diffusion",
    grid={"n": (10, 30)},
    views=lambda n: {"": (MeanSize(_MEAN_TIMESTEP, n),)},
    source=RAO_2025,
    on_request=True,
)
def sima_mc(size: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the size of the predicted noise at t = 100, averaged over noises (SimA-MC).

    (2), Rao et al. 2025.
    """
    return -size


@score(
    "sima_clean_{t}",
    kind="diffusion",
    grid={"t": SIMA_TIMESTEPS[1:]},
    views=lambda t: {"": (QuietSize(t),)},
    source=RAO_2025,
)
def sima_clean(size: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the size of the noise predicted in latents without any, told a timestep (SimA without noise).

    (3), after the code of Rao et al. 2025.
    """
    return -size


@score("noise_agg", kind="diffusion", views={"": (Disagreement(_CHAIN),)}, source=LI_2025)
def noise_agg(disagreement: Float[Array, " B"]) -> Float[Array, " B"]:
    """How well the noises agree that are predicted along five DDIM steps (noise aggregation).

    (4), Li et al. 2025.
    """
    return -jnp.log(disagreement + _DELTA)
