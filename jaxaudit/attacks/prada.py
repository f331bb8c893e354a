"""PRADA: a learned function of a token's two log-probabilities, averaged per scale.

With x_c and x_0 the log-probabilities of a token given the class label and given the null label,

    (1)  prada = Σ_s w_s ⟨f((2 − α) x_c − α x_0)⟩_s              ⟨·⟩_s: mean over the tokens of scale s
    (2)  prada = Σ_s ⟨g_s(x_c) + h_s(x_c − x_0)⟩_s

(1) is the published form (Damm et al. 2026, there for generated against real images): f a small network, α
and w learned. (2), used here, keeps the two directions α = 0 and 1 and takes piecewise linear g and h for
every scale: it is linear in their values at fixed knots, so that the means of hat functions are all that must
be kept of an image, and the fit (`jaxaudit.stats.fitted_scores`) is convex. The hat function of a knot is 1
at the knot, 0 at its neighbours and linear between; beyond the outer knots g and h are constant.

Axes: B images, L tokens, S scales, K knots.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxaudit.attacks.reductions import mean_per_scale
from jaxaudit.attacks.registry import fitted_score
from jaxaudit.attacks.sources import DAMM_2026
from jaxaudit_kernels.likelihood import TokenStatistics

COND_KNOTS = (-16, -12, -8, -6, -4, -2, -1, 0)
"""Of g: log p given the class, nats."""

GAIN_KNOTS = (-8, -4, -2, -1, 0, 1, 2, 4, 8)
"""Of h: log p gained by knowing the class, nats."""


@fitted_score("prada", views={"diff": ("cond", "null")}, source=DAMM_2026)
def prada(
    cond: TokenStatistics, null: TokenStatistics, tokens_per_step: tuple[int, ...]
) -> dict[str, Float[Array, " B"]]:
    """Learned function of log p with and without the class, per scale (PRADA); fitted on samples set aside.

    Returns the features of (2): {"SCALE_cond_KNOT", "SCALE_gain_KNOT": [B]}.
    """
    gain = cond.log_prob - null.log_prob
    return {
        f"{scale}_{part}_{knot}": means[:, scale]
        for part, values, knots in (("cond", cond.log_prob, COND_KNOTS), ("gain", gain, GAIN_KNOTS))
        for knot, hat in zip(knots, hat_functions(values, knots), strict=True)
        for means in [mean_per_scale(hat, tokens_per_step)]
        for scale in range(means.shape[1])
    }


def hat_functions(values: Float[Array, "B L"], knots: Sequence[float]) -> Float[Array, "K B L"]:
    """The hat function of every knot at the values, in [0, 1]; their sum over the knots is 1."""
    places, hats = np.asarray(knots, np.float32), np.eye(len(knots), dtype=np.float32)
    return jnp.stack([jnp.interp(values, places, hat) for hat in hats])
