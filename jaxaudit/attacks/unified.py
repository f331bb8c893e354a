"""The unified Loss attack: minus the training loss, once, in the same way for every family of generators.

What one step of training would have cost on the image: one forward pass as in training (but no label is ever
dropped), at a random noise level where there is one, under one noise. It uses nothing that is known of a
particular kind of model, so it compares families rather than attacks.

    discrete tokens     ⟨log p_n⟩, teacher forced, given the class
    continuous tokens   −⟨loss_n⟩ over hidden tokens, mask ratio as in training, a random timestep per token
    diffusion           −⟨loss⟩ over the latents, at a random timestep

Source: Kowalczuk et al. 2025, where autoregressive models are compared with diffusion models.

Axes: B images, M hidden tokens.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_measurements import TrainingLoss
from jaxaudit.attacks.registry import score
from jaxaudit.attacks.sources import KOWALCZUK_2025
from jaxaudit_kernels.likelihood import TokenStatistics


@score("unified_loss", views={"cond": ("cond",)}, source=KOWALCZUK_2025)
def unified_loss_of_discrete(view: TokenStatistics) -> Float[Array, " B"]:
    """Minus the training loss, from one forward pass as in training (unified Loss attack)."""
    return jnp.mean(view.log_prob, axis=-1)


@score("unified_loss", kind="continuous", views={"cond": ("training",)}, source=KOWALCZUK_2025)
def unified_loss_of_continuous(losses: Float[Array, "B M"]) -> Float[Array, " B"]:
    """Minus the training loss, from one forward pass as in training (unified Loss attack)."""
    return -jnp.mean(losses, axis=-1)


@score("unified_loss", kind="diffusion", views={"": (TrainingLoss(),)}, source=KOWALCZUK_2025)
def unified_loss_of_diffusion(loss: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the training loss, from one forward pass as in training (unified Loss attack)."""
    return -loss
