"""PFAMI: does the model do worse on crops of the picture?  Around a member its likelihood has a peak.

With L_t(x) = ‖ε − f(z_t, t)‖², z the latents of the picture x, and x_λ its centre crop that keeps the share λ
of height and width, resized back:

    (1)  pfami    −Σ_t ⟨L_t(x) − L_t(x_λ)⟩_λ / (L_t(x) + δ),    t = 50, 100, …, 500,  λ = 0.95, …, 0.70

All losses of an image share one noise, that of `multiple_loss_t`: what remains of a difference is what the
crop did, and a picture that equals its crops scores 0. The published code draws a fresh one for each.

Source: Fu et al. 2023; constants from their code.

Axes: B images, h and w latent pixels, c channels, N nodes of a kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_graph import Cost, Node, Results, Run, Setting, stack, unstack
from jaxaudit.attacks.diffusion_nodes import Evaluation, noised
from jaxaudit.attacks.registry import score
from jaxaudit.attacks.sources import FU_2023
from jaxaudit_kernels.crops import centre_crop
from jaxaudit_kernels.process import add_noise

SHARES = tuple(np.linspace(0.95, 0.7, 10).round(6).tolist())
"""λ of (1)."""

FLUCTUATION_TIMESTEPS = tuple(range(50, 501, 50))
"""t of (1)."""

_DELTA = 1e-6


@dataclasses.dataclass(frozen=True)
class Cropped(Node):
    """The latents of a crop."""

    reads_images: ClassVar[bool] = True

    share: float

    def cost(self) -> Cost:
        """One encoding."""
        return Cost(encodings=1)

    def value(self, run: Run, results: Results) -> Float[Array, "B h w c"]:
        """[B,h,w,c]."""
        assert run.images is not None  # the step sees to it
        return run.encode(centre_crop(run.images, self.share))


@dataclasses.dataclass(frozen=True)
class NoisedCrop(Node):
    """They under the first noise."""

    share: float
    level: int

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The latents."""
        return (Cropped(self.share),)

    @classmethod
    def values(cls, nodes: Sequence[NoisedCrop], run: Run, results: Results) -> list[Float[Array, "B h w c"]]:
        """[B,h,w,c] each."""
        latents = stack([results[Cropped(node.share)] for node in nodes])
        levels = run.levels([node.level for node in nodes])
        return unstack(jax.vmap(add_noise, (0, 0, None))(latents, levels, run.noises[0]))


@dataclasses.dataclass(frozen=True)
class Fluctuation(Node):
    """(1) without its sign."""

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """For every timestep the look at z_t, and those at the crops."""
        return tuple(
            Evaluation(latents, level)
            for level in map(setting.level, FLUCTUATION_TIMESTEPS)
            for latents in (noised(level), *(NoisedCrop(share, level) for share in SHARES))
        )

    def value(self, run: Run, results: Results) -> Float[Array, " B"]:
        """[B]."""
        seen = stack([results[look].seen.eps for look in self.needs(run.setting)])
        losses = jnp.sum(jnp.square(run.noises[:1] - seen), axis=(2, 3, 4))
        losses = losses.reshape(len(FLUCTUATION_TIMESTEPS), 1 + len(SHARES), -1)
        own, cropped = losses[:, 0], jnp.mean(losses[:, 1:], axis=1)
        return jnp.sum((own - cropped) / (own + _DELTA), axis=0)


@score("pfami", kind="diffusion", views={"": (Fluctuation(),)}, source=FU_2023, on_request=True)
def pfami(fluctuation: Float[Array, " B"]) -> Float[Array, " B"]:
    """How much larger the loss of crops of the picture is than its own, at ten timesteps (PFAMI).

    (1), Fu et al. 2023. 110 passes and 11 encodings: ask by name.
    """
    return -fluctuation
