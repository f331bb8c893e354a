"""A diffusion model's looks at latents, and what it looks at, as nodes of `jaxaudit.attacks.diffusion_graph`.

    Evaluation      what the network sees in some latents, or that and the gradient of ‖ε − f‖
    Chain           the latents along a DDIM chain from the clean ones
    Optimisation    the perturbation of z_t that makes ‖ε − f‖ small

Latents [B,h,w,c] to look at, see the kernels:

    Clean, Noised   z, z_t
    Destroyed       noise in z_t (or z) where the gradient is largest (Mask)
    Proximal        z noised with what the model takes for its noise (ProximalNoise)
    Renoised        the optimised latents, noised once more

Axes: B images, h and w latent pixels, c channels, N nodes of a kind, S steps of a chain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxaudit.attacks.diffusion_graph import Cost, Level, Node, Results, Run, Setting, stack, unstack
from jaxaudit_kernels import denoising, gradient_masking
from jaxaudit_kernels.noise_optimization import NoiseOptimum, noise_optimization
from jaxaudit_kernels.process import CLEAN, Denoised, NoiseLevel, add_noise

Latents = Float[Array, "B h w c"]

_ITERATIONS = 5  # of noise optimisation
_add_noise = jax.vmap(add_noise, (None, 0, 0))  # at N levels


class Look(NamedTuple):
    """What the network sees and, where asked for, the gradient of ‖ε − f‖ by z; ε: the first noise."""

    seen: Denoised
    gradient: Latents | None


@dataclasses.dataclass(frozen=True)
class Evaluation(Node):
    """One look of the network at each image: a `Look`.

    Attributes:
      latents: what it looks at.
      level: what it is told.
      null: without what the images are conditioned on.
      gradient: with the gradient.
      masked: with a share of the tokens hidden; not together with the gradient.
    """

    latents: Node
    level: Level
    null: bool = False
    gradient: bool = False
    masked: bool = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The latents."""
        return (self.latents,)

    def cost(self) -> Cost:
        """One, a whole one also where tokens are hidden."""
        return Cost(gradients=1) if self.gradient else Cost(forwards=1)

    @property
    def richer(self) -> Node | None:
        """With the gradient."""
        return None if self.gradient or self.masked else dataclasses.replace(self, gradient=True)

    @property
    def kind(self) -> Any:
        """With or without gradient and hidden tokens."""
        return Evaluation, self.gradient, self.masked

    @classmethod
    def values(cls, nodes: Sequence[Evaluation], run: Run, results: Results) -> list[Look]:
        """One after the other, in a loop."""
        inputs = {
            "z": stack([results[node.latents] for node in nodes]),
            "index": run.levels([node.level for node in nodes]).index,
            "null": jnp.asarray([node.null for node in nodes]),
        }

        denoise = run.denoise_masked if nodes[0].masked else run.denoise
        assert denoise is not None  # the step sees to it

        def look(x: dict[str, Array]) -> Look:
            arguments = x["z"], x["index"], run.conditioned(x["null"])
            if not nodes[0].gradient:
                return Look(denoise(*arguments), None)
            return Look(*gradient_masking.denoised_and_gradient(run.denoise, *arguments, run.noises[0]))

        return unstack(jax.lax.map(look, inputs))


@dataclasses.dataclass(frozen=True)
class Clean(Node):
    """z."""

    def value(self, run: Run, results: Results) -> Latents:
        """[B,h,w,c]."""
        return run.latents


def noised(level: Level, *, noise: int = 0) -> Clean | Noised:
    """z_t under one of the noises; z where there is no noise."""
    return Clean() if level == CLEAN else Noised(level, noise)


@dataclasses.dataclass(frozen=True)
class Noised(Node):
    """z_t under one of the noises; made by `noised`."""

    level: Level
    noise: int = 0

    @classmethod
    def values(cls, nodes: Sequence[Noised], run: Run, results: Results) -> list[Latents]:
        """[B,h,w,c] each."""
        noises = run.noises[jnp.asarray([node.noise for node in nodes])]
        return unstack(_add_noise(run.latents, run.levels([node.level for node in nodes]), noises))


@dataclasses.dataclass(frozen=True)
class Mask(Node):
    """Where ‖ε − f(z_t, t)‖ depends on z_t most."""

    level: Level

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The gradient."""
        return (Evaluation(noised(self.level), self.level, gradient=True),)

    @classmethod
    def values(cls, nodes: Sequence[Mask], run: Run, results: Results) -> list[Bool[Array, "B h w c"]]:
        """[B,h,w,c] each."""
        gradients = [results[look].gradient for node in nodes for look in node.needs(run.setting)]
        return unstack(jax.vmap(gradient_masking.largest_places)(jnp.stack(gradients)))


@dataclasses.dataclass(frozen=True)
class Destroyed(Node):
    """Noise in the place of `kept` where the mask is."""

    kept: Node
    mask: Mask

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """Both."""
        return self.kept, self.mask

    @classmethod
    def values(cls, nodes: Sequence[Destroyed], run: Run, results: Results) -> list[Latents]:
        """[B,h,w,c] each."""
        kept, mask = (stack([results[node] for node in each]) for each in _parts(nodes))
        return unstack(jax.vmap(gradient_masking.destroy, (0, None, 0))(kept, run.noises[0], mask))


def _parts(nodes: Sequence[Destroyed]) -> tuple[list[Node], list[Node]]:
    return [node.kept for node in nodes], [node.mask for node in nodes]


@dataclasses.dataclass(frozen=True)
class ProximalNoise(Node):
    """e = f(z, level), scaled to a mean `magnitude` if there is one."""

    level: int
    magnitude: float | None

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """f(z, level)."""
        return (Evaluation(Clean(), self.level),)

    def value(self, run: Run, results: Results) -> Latents:
        """[B,h,w,c]."""
        (look,) = self.needs(run.setting)
        eps = results[look].seen.eps
        return eps if self.magnitude is None else denoising.scale_to_magnitude(eps, self.magnitude)


@dataclasses.dataclass(frozen=True)
class Proximal(Node):
    """z noised with a `ProximalNoise`."""

    level: int
    noise: ProximalNoise

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The noise."""
        return (self.noise,)

    @classmethod
    def values(cls, nodes: Sequence[Proximal], run: Run, results: Results) -> list[Latents]:
        """[B,h,w,c] each."""
        noises = stack([results[node.noise] for node in nodes])
        return unstack(_add_noise(run.latents, run.levels([node.level for node in nodes]), noises))


@dataclasses.dataclass(frozen=True)
class Optimisation(Node):
    """The `NoiseOptimum` of z_t at a level under the first noise."""

    level: Level

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """z_t, and the look at it."""
        return noised(self.level), Evaluation(noised(self.level), self.level, gradient=True)

    def cost(self) -> Cost:
        """As if every iteration's first step were accepted; line searches may take more."""
        return Cost(gradients=_ITERATIONS)

    @classmethod
    def values(cls, nodes: Sequence[Optimisation], run: Run, results: Results) -> list[NoiseOptimum]:
        """One after the other, in a loop."""
        noise = run.noises[0]
        starts = stack([tuple(results[need] for need in node.needs(run.setting)) for node in nodes])

        def optimise(x: tuple[Array, tuple[Latents, Look]]) -> NoiseOptimum:
            index, (z_t, start) = x
            assert start.gradient is not None
            initial = denoising.norm(noise - start.seen.eps), start.gradient
            return noise_optimization(
                run.denoise, z_t, index, run.condition, noise, max_iterations=_ITERATIONS, initial=initial
            )

        return unstack(jax.lax.map(optimise, (run.levels([node.level for node in nodes]).index, starts)))


@dataclasses.dataclass(frozen=True)
class Renoised(Node):
    """The optimised latents, noised once more."""

    level: Level

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """z_t and its perturbation."""
        return noised(self.level), Optimisation(self.level)

    def value(self, run: Run, results: Results) -> Latents:
        """[B,h,w,c]."""
        z_t, optimum = (results[need] for need in self.needs(run.setting))
        (level,) = unstack(run.levels([self.level]))
        return add_noise(z_t + optimum.perturbation, level, run.noises[0])


@dataclasses.dataclass(frozen=True)
class Chain(Node):
    """The latents [S,B,h,w,c] after every step of a DDIM chain through these S + 1 levels, from z on."""

    levels: tuple[int, ...]

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The first look."""
        return (Evaluation(Clean(), self.levels[0]),)

    def cost(self) -> Cost:
        """One forward pass at every level but the first and the last."""
        return Cost(forwards=len(self.levels) - 2)

    @property
    def kind(self) -> Any:
        """By length."""
        return Chain, len(self.levels)

    @classmethod
    def values(cls, nodes: Sequence[Chain], run: Run, results: Results) -> list[Float[Array, "S B h w c"]]:
        """One after the other, in a loop."""
        levels = stack([run.levels(node.levels) for node in nodes])
        first = stack([results[look].seen.eps for node in nodes for look in node.needs(run.setting)])

        def follow(x: tuple[NoiseLevel, Latents]) -> Array:
            return denoising.ddim_chain(run.denoise, run.latents, x[0], run.condition, first=x[1])

        return unstack(jax.lax.map(follow, (levels, first)))
