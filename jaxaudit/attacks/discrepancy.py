"""CLiD as published: what the condition explains and how well the image is denoised, weighed on known ones.

With L(c) the mean squared error of the predicted noise given c, over t = 440, 450, 460 under one noise each,
c the image's label or caption and c* less than that:

    (1)  D = ⟨L(c*) − L(c)⟩_{c*}                 discrepancy
    (2)  clid = α S(D) + (1 − α) S(−L(c))        S(a) = a / IQR(a)

c* is no label, or no caption. IQR, the distance between the quartiles, is that of the nonmembers and α the
one that tells best, both on images that are set aside (`jaxaudit.stats.fitted_scores`); published code scales
by what the evaluated images themselves show. The centre that S subtracts shifts all scores alike.

The published attack on captions averages three more c*, the caption without the 30, 50 and 70% of its words
that weigh most, by importances that come from outside the model. They are left out here.

`clid_{t}` is the difference of norms at one t, with nothing fitted.

Source: Zhai et al. 2024; constants from their code.

Axes: B images.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_graph import Node, Results, Run, Setting, stack
from jaxaudit.attacks.diffusion_measurements import Error
from jaxaudit.attacks.registry import fitted_score
from jaxaudit.attacks.sources import ZHAI_2024

CLID_TIMESTEPS = (440, 450, 460)
"""t of (1); each has a noise of its own, which both conditions share."""


class Losses(NamedTuple):
    """L(c) and L(c*), [B] each."""

    given: Float[Array, " B"]
    without: Float[Array, " B"]


@dataclasses.dataclass(frozen=True)
class ConditionLosses(Node):
    """The `Losses` with the condition and without."""

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """The errors, first those with the condition."""
        return tuple(
            Error(t, noise=i, null=null) for null in (False, True) for i, t in enumerate(CLID_TIMESTEPS)
        )

    def value(self, run: Run, results: Results) -> Losses:
        """See `Losses`."""
        errors = stack([results[error] for error in self.needs(run.setting)])
        losses = jnp.square(errors) / run.latents[0].size
        return Losses(*jnp.mean(losses.reshape(2, len(CLID_TIMESTEPS), -1), axis=1))


@fitted_score("clid", kind="diffusion", views={"": (ConditionLosses(),)}, source=ZHAI_2024, fit="mixture")
def clid_mixture(losses: Losses, tokens_per_step: tuple[int, ...]) -> dict[str, Float[Array, " B"]]:
    """What the label or caption explains, and how well the image is denoised, weighed (CLiD as published).

    (2), Zhai et al. 2024. Returns its two features, {"discrepancy", "likelihood": [B]}; fitted on samples
    set aside.
    """
    del tokens_per_step
    return {"discrepancy": losses.without - losses.given, "likelihood": -losses.given}
