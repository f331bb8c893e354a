"""The course of a flow's error along its path, from nearly clean to nearly noise, as one learned score.

    (1)  e_u = ‖v − v̂‖ at the share u of noise,  u = 0.1, …, 0.9;    velocity_curve = w·e

The gap between members and others is a bell over u whose peak depends on the data: a function of the whole
curve need not know where. The published attack puts a small network on the errors of the image that the
velocity points at, u ‖v − v̂‖, of 100 noises at eleven u, of which the end without noise says nothing; here
the weights w are a logistic regression's (`jaxaudit.stats.fitted_scores`) on the errors of `velocity_loss_u`,
which take no pass of their own.

Source: Sesmat et al. 2026.

Axes: B images.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion import PERCENTS
from jaxaudit.attacks.diffusion_measurements import VelocityError
from jaxaudit.attacks.registry import fitted_score
from jaxaudit.attacks.sources import SESMAT_2026


@fitted_score(
    "velocity_curve", kind="diffusion", views={"": tuple(map(VelocityError, PERCENTS))}, source=SESMAT_2026
)
def velocity_curve(*given: Any) -> dict[str, Float[Array, " B"]]:
    """Learned function of the errors of the predicted velocity along the path; fitted on samples set aside.

    (1), Sesmat et al. 2026. Of flows and other models that predict a velocity. Returns {share of noise in
    percent: [B]}.
    """
    *errors, _ = given
    return {str(percent): error for percent, error in zip(PERCENTS, errors, strict=True)}
