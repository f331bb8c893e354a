"""What scores of diffusion models are computed from, as nodes of `jaxaudit.attacks.diffusion_plan`.

Each is a number for every image, [B] float32. Timesteps t are counted by `Process.level`: `published` ones
count, and measure, as the published code does.

Axes: B images, N nodes of a kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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
from jaxaudit.attacks.diffusion_plan import RANDOM, Node, Process, Results, Run, stack
from jaxaudit_kernels import denoising, gradient_masking
from jaxaudit_kernels.diffusion import training_losses

PerImage = Float[Array, " B"]

_SECMI_TIMESTEPS = (*range(0, 101, 10), 110, 100)
_PIA_TIMESTEP, _PIA_ORDER = 200, 5
_OPTIMISATION_TIMESTEP = 100


@dataclasses.dataclass(frozen=True)
class Error(Node):
    """‖ε − f(z_t, t)‖ under one noise; `null`: given nothing."""

    t: int
    noise: int = 0
    null: bool = False
    published: bool = False

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The prediction."""
        level = process.level(self.t, published=self.published)
        return (Evaluation(noised(level, self.noise), level, self.null),)

    @classmethod
    def values(cls, nodes: Sequence[Error], run: Run, results: Results) -> list[PerImage]:
        """[B] each."""
        outputs = stack([results[look].output for node in nodes for look in node.needs(run.process)])
        noises = run.noises[jnp.asarray([node.noise for node in nodes])]
        return list(jax.vmap(denoising.norm)(noises - run.eps(outputs)))


@dataclasses.dataclass(frozen=True)
class MeanError(Node):
    """The mean of `Error` over all noises."""

    t: int
    published: bool = False

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The error under every noise."""
        return tuple(Error(self.t, i, published=self.published) for i in range(process.num_noises))

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        return jnp.mean(stack([results[error] for error in self.needs(run.process)]), axis=0)


@dataclasses.dataclass(frozen=True)
class StepError(Node):
    """SecMI's error."""

    published: bool = False

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The chain."""
        return (Chain(tuple(process.level(t, published=self.published) for t in _SECMI_TIMESTEPS)),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (chain,) = self.needs(run.process)
        return denoising.secmi_error(results[chain])


@dataclasses.dataclass(frozen=True)
class ProximalError(Node):
    """PIA's error; with a magnitude, PIAN's."""

    magnitude: float | None = None
    published: bool = False

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The noise, and the look at the latents noised with it."""
        zero, level = (process.level(t, published=self.published) for t in (0, _PIA_TIMESTEP))
        noise = ProximalNoise(zero, self.magnitude)
        return noise, Evaluation(Proximal(level, noise), level)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        noise, prediction = (results[need] for need in self.needs(run.process))
        return denoising.norm(noise - run.eps(prediction.output), _PIA_ORDER)


@dataclasses.dataclass(frozen=True)
class MaskedError(Node):
    """The error where the latents were destroyed."""

    t: int
    published: bool = False

    def needs(self, process: Process) -> tuple[Node, ...]:
        """What was kept, the mask, and the look at the destroyed latents."""
        level = process.level(self.t, published=self.published)
        kept, mask = Clean() if self.published else noised(level), Mask(level)
        return kept, mask, Evaluation(Destroyed(kept, mask), level)

    @classmethod
    def values(cls, nodes: Sequence[MaskedError], run: Run, results: Results) -> list[PerImage]:
        """[B] each."""
        known = [[results[need] for need in node.needs(run.process)] for node in nodes]
        kept, mask, prediction = stack([tuple(values) for values in known])
        error = jax.vmap(gradient_masking.masked_error, (0, 0, None, 0))
        return list(error(run.eps(prediction.output), kept, run.noises[0], mask))


@dataclasses.dataclass(frozen=True)
class OptimisedError(Node):
    """The error of the optimised latents."""

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The optimisation."""
        return (Optimisation(process.level(_OPTIMISATION_TIMESTEP)),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (optimisation,) = self.needs(run.process)
        return results[optimisation].error


@dataclasses.dataclass(frozen=True)
class RenoisedError(Node):
    """The error of the optimised latents after they are noised once more, as published."""

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The look at them."""
        level = process.level(_OPTIMISATION_TIMESTEP, published=True)
        return (Evaluation(Renoised(level), level),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (look,) = self.needs(run.process)
        return denoising.norm(run.noises[0] - run.eps(results[look].output))


@dataclasses.dataclass(frozen=True)
class PerturbationSize(Node):
    """The norm of the optimised perturbation."""

    published: bool = False

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The optimisation."""
        return (Optimisation(process.level(_OPTIMISATION_TIMESTEP, published=self.published)),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (optimisation,) = self.needs(run.process)
        return denoising.norm(results[optimisation].perturbation)


@dataclasses.dataclass(frozen=True)
class TrainingLoss(Node):
    """The loss of one training step, at a random timestep: mse, and vb where the variance is learned."""

    def needs(self, process: Process) -> tuple[Node, ...]:
        """The prediction."""
        return (Evaluation(noised(RANDOM), RANDOM),)

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        (look,) = self.needs(run.process)
        output, noise = results[look].output, run.noises[0]
        if not run.process.learned_variance:
            return jnp.mean(jnp.square(noise - output), axis=(1, 2, 3))
        return training_losses(run.process.schedule, output, run.latents, run.random_level, noise)["loss"]


@dataclasses.dataclass(frozen=True)
class ReconstructionError(Node):
    """‖x − D(E(x))‖² of the picture; `Run.images` must be known."""

    def value(self, run: Run, results: Results) -> PerImage:
        """[B]."""
        return jnp.sum(jnp.square(run.images - run.decode(run.latents)), axis=(1, 2, 3))
