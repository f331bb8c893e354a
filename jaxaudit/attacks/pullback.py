"""Scores over those coordinates of the latents that matter in the picture, and over as many random ones.

With z the latents of an image, f the noise the model sees in z_t, and c_k how far the decoder moves the
picture when coordinate k of z moves (`jaxaudit_kernels.pullback`), let K be the 60% of the coordinates with
the largest c_k:

    (1)  pullback_sima_t    −(Σ_K |f(z_t, t)|⁴)^¼
    (2)  pullback_loss_t    −(Σ_K (ε − f(z_t, t))²)^½

Memorisation is said to sit in K. c_k depends on the image and the autoencoder alone, never on the generator:
`random_sima_t` and `random_loss_t` take a random K, drawn from the image's id, and a mask that does no better
than they do has found nothing. Where all |f| are equal, both masks give the same.

16 probes for c_k: the published number for small models, 8 for Stable Diffusion.

Source: Rao et al. 2026.

Axes: B images, h and w latent pixels, c channels.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxaudit.attacks.diffusion_graph import Cost, Node, Results, Run, Setting
from jaxaudit.attacks.diffusion_nodes import Clean, Evaluation, noised
from jaxaudit.attacks.registry import score
from jaxaudit.attacks.sources import RAO_2026
from jaxaudit_kernels import denoising, draws
from jaxaudit_kernels.gradient_masking import largest_places
from jaxaudit_kernels.pullback import sensitivity

PULLBACK_TIMESTEPS = (0, 50, 100, 150, 200)
"""t of (1) and (2)."""

_KEPT = 0.6
_PROBES = 16

Mask = Literal["pullback", "random"]


@dataclasses.dataclass(frozen=True)
class Kept(Node):
    """K."""

    reads_autoencoder: ClassVar[bool] = True

    mask: Mask

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """z."""
        return (Clean(),)

    def cost(self) -> Cost:
        """One backward pass through the decoder per probe."""
        return Cost(decoder_gradients=_PROBES if self.mask == "pullback" else 0)

    def value(self, run: Run, results: Results) -> Bool[Array, "B h w c"]:
        """[B,h,w,c]."""
        latents = results[Clean()]
        if self.mask == "random":
            flat = jnp.zeros((len(latents), math.prod(latents.shape[1:])), bool)
            places = draws.hidden_positions(run.keys, flat.shape[1], int(_KEPT * flat.shape[1]))
            return flat.at[jnp.arange(len(flat))[:, None], places].set(True).reshape(latents.shape)
        pixels = jax.eval_shape(run.reconstruct, latents).shape[1:]
        probe = functools.partial(draws.probe, run.keys, shape=pixels)
        return largest_places(sensitivity(run.reconstruct, latents, probe, num_probes=_PROBES), ratio=_KEPT)


@dataclasses.dataclass(frozen=True)
class KeptSize(Node):
    """(1) or (2) without its sign."""

    of: Literal["sima", "loss"]
    t: int
    mask: Mask

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The prediction, and K."""
        level = setting.level(self.t)
        return Evaluation(noised(level), level), Kept(self.mask)

    def value(self, run: Run, results: Results) -> Float[Array, " B"]:
        """[B]."""
        look, kept = (results[need] for need in self.needs(run.setting))
        values = look.seen.eps if self.of == "sima" else run.noises[0] - look.seen.eps
        return denoising.norm(jnp.where(kept, values, 0.0), p=4 if self.of == "sima" else 2)


def _declare(of: Literal["sima", "loss"], mask: Mask) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return score(
        f"{mask}_{of}_{{t}}",
        kind="diffusion",
        grid={"t": PULLBACK_TIMESTEPS},
        views=lambda t: {"": (KeptSize(of, t, mask),)},
        source=RAO_2026,
        on_request=True,
    )


@_declare("loss", "pullback")
@_declare("sima", "pullback")
def pullback(size: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the size of the predicted noise, or of its error, where the decoder stretches the latents most.

    (1) and (2), Rao et al. 2026. 16 backward passes through the decoder: ask by name.
    """
    return -size


@_declare("loss", "random")
@_declare("sima", "random")
def random_mask(size: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the size of the predicted noise, or of its error, at 60% of the latents drawn at random.

    The control of `pullback_*`, which must do better than this to have found anything.
    """
    return -size
