"""What scores of diffusion models are computed from, as nodes of `jaxaudit.attacks.diffusion_graph`.

Each is a number for every image, [B] float32. Timesteps t are counted by `Setting.level`: `published` ones
count, and measure, as the published code does.

Axes: B images, N nodes of a kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_graph import RANDOM, Cost, Node, Results, Run, Setting, stack
from jaxaudit.attacks.diffusion_nodes import (
    Chain,
    Clean,
    Destroyed,
    Evaluation,
    Mask,
    Optimisation,
    Proximal,
    ProximalNoise,
    Renoised,
    noised,
)
from jaxaudit_kernels import denoising, gradient_masking
from jaxaudit_kernels.learned_variance import noise_losses

PerImage = Float[Array, " B"]

_SECMI_TIMESTEPS = (*range(0, 101, 10), 110, 100)
_PIA_TIMESTEP, _PIA_ORDER = 200, 5
_OPTIMISATION_TIMESTEP = 100


@dataclasses.dataclass(frozen=True)
class Error(Node):
    """‖ε − f(z_t, t)‖ under one noise; `null`: given nothing; `masked`: with a share of the tokens hidden."""

    t: int
    noise: int = 0
    null: bool = False
    published: bool = False
    masked: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The prediction."""
        level = setting.level(self.t, published=self.published)
        return (Evaluation(noised(level, noise=self.noise), level, self.null, masked=self.masked),)

    @classmethod
    def values(cls, nodes: Sequence[Error], run: Run, results: Results) -> list[PerImage]:
        """[B] each."""
        seen = stack([results[look].seen.eps for node in nodes for look in node.needs(run.setting)])
        noises = run.noises[jnp.asarray([node.noise for node in nodes])]
        return list(jax.vmap(denoising.norm)(noises - seen))


@dataclasses.dataclass(frozen=True)
class VelocityError(Node):
    """‖v − v̂‖ under the first noise, where noise has a share of so many percent; of velocities only."""

    percent: int

    def needs(self, setting: Setting) -> tuple[Evaluation]:
        """The prediction."""
        level = setting.process.level_of_share(self.percent / 100)
        return (Evaluation(noised(level), level),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (look,) = self.needs(run.setting)
        error = denoising.norm(run.noises[0] - results[look].seen.eps)
        return float(run.setting.process.error_scale[look.level]) * error


@dataclasses.dataclass(frozen=True)
class MeanError(Node):
    """The mean of `Error` over all noises."""

    t: int
    published: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The error under every noise."""
        return tuple(Error(self.t, i, published=self.published) for i in range(setting.num_noises))

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        return jnp.mean(stack([results[error] for error in self.needs(run.setting)]), axis=0)


@dataclasses.dataclass(frozen=True)
class StepError(Node):
    """SecMI's error."""

    published: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The chain."""
        return (Chain(tuple(setting.level(t, published=self.published) for t in _SECMI_TIMESTEPS)),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (chain,) = self.needs(run.setting)
        return denoising.secmi_error(results[chain])


@dataclasses.dataclass(frozen=True)
class ProximalError(Node):
    """PIA's error; with a magnitude, PIAN's."""

    magnitude: float | None = None
    published: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The noise, and the look at the latents noised with it."""
        zero, level = (setting.level(t, published=self.published) for t in (0, _PIA_TIMESTEP))
        noise = ProximalNoise(zero, self.magnitude)
        return noise, Evaluation(Proximal(level, noise), level)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        noise, prediction = (results[need] for need in self.needs(run.setting))
        return denoising.norm(noise - prediction.seen.eps, p=_PIA_ORDER)


@dataclasses.dataclass(frozen=True)
class MaskedError(Node):
    """The error where the latents were destroyed."""

    t: int
    published: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """What was kept, the mask, and the look at the destroyed latents."""
        level = setting.level(self.t, published=self.published)
        kept, mask = Clean() if self.published else noised(level), Mask(level)
        return kept, mask, Evaluation(Destroyed(kept, mask), level)

    @classmethod
    def values(cls, nodes: Sequence[MaskedError], run: Run, results: Results) -> list[PerImage]:
        """[B] each."""
        known = [[results[need] for need in node.needs(run.setting)] for node in nodes]
        kept, mask, prediction = stack([tuple(values) for values in known])
        error = jax.vmap(gradient_masking.masked_error, (0, 0, None, 0))
        return list(error(prediction.seen.eps, kept, run.noises[0], mask))


@dataclasses.dataclass(frozen=True)
class OptimisedError(Node):
    """The error of the optimised latents."""

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The optimisation."""
        return (Optimisation(setting.level(_OPTIMISATION_TIMESTEP)),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (optimisation,) = self.needs(run.setting)
        return results[optimisation].error


@dataclasses.dataclass(frozen=True)
class RenoisedError(Node):
    """The error of the optimised latents after they are noised once more, as published."""

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The look at them."""
        level = setting.level(_OPTIMISATION_TIMESTEP, published=True)
        return (Evaluation(Renoised(level), level),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (look,) = self.needs(run.setting)
        return denoising.norm(run.noises[0] - results[look].seen.eps)


@dataclasses.dataclass(frozen=True)
class PerturbationSize(Node):
    """The norm of the optimised perturbation."""

    published: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The optimisation."""
        return (Optimisation(setting.level(_OPTIMISATION_TIMESTEP, published=self.published)),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (optimisation,) = self.needs(run.setting)
        return denoising.norm(results[optimisation].perturbation)


@dataclasses.dataclass(frozen=True)
class TrainingLoss(Node):
    """The loss of one training step, at a random level: mse, and vb where the variance is learned.

    The error of the noise, also where training is for a velocity: families are compared by what they do
    about the same noise, not in units of what they predict.
    """

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The prediction."""
        return (Evaluation(noised(RANDOM), RANDOM),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (look,) = self.needs(run.setting)
        given = run.latents, run.random_level, run.noises[0]
        return noise_losses(run.setting.process, results[look].seen, *given)["loss"]


@dataclasses.dataclass(frozen=True)
class ReconstructionError(Node):
    """‖x − D(E(x))‖² of the picture; `Run.images` must be known."""

    reads_images: ClassVar[bool] = True
    reads_autoencoder: ClassVar[bool] = True

    def cost(self) -> Cost:
        """One decoding."""
        return Cost(decodings=1)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        assert run.images is not None  # the step sees to it
        return jnp.sum(jnp.square(run.images - run.decode(run.latents)), axis=(1, 2, 3))
