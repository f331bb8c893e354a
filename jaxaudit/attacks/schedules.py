"""Sixteen ways to walk an image through a diffusion model, as one table, and what each costs.

With z the latents of an image x, ε standard Gaussian noise, c its condition and ∅ none, a step of a schedule
tells the network a time t, whatever the noise there really is, and takes what it sees for the noise at t:

    (1)  ε̂ = f(z_t, t, ∅) + g (f(z_t, t, c) − f(z_t, t, ∅)),   or f(z_t, t, c) without guidance
    (2)  ẑ = (z_t − √(1 − ᾱ_t) ε̂) / √ᾱ_t

The first z_t is √ᾱ_a z + √(1 − ᾱ_a) ε. From there it is carried by (3), or fresh: made anew, with new noise.

    (3)  z_s = √ᾱ_s ẑ + √(1 − ᾱ_s) ε̂,   s the next time: DDIM, η = 0; towards noise where s > t

Every step has three errors, negated, so that higher = more likely a member:

    (4)  model ‖ε − ε̂‖²,   latent ‖z − ẑ‖²,   pixel ‖x − D(ẑ)‖²

Timesteps are those of 1,000 levels (`Process.level`). Beside the sixteen stand the loss at t = 100, and an
image generated from c alone, whose last step is the black-box (pixel) and the grey-box (latent) attack.

The published text leaves open, and here it is so: ẑ is (2); ε of a carried schedule is the noise that was put
in (with the noise that z_t has at t in its place, model and latent error would be one number in two units);
the noise added in the middle of 3 has the scale of the noise added to captions in 4; that of a caption is
drawn once per walk; all schedules begin with the same ε.

Source: Dubiński et al., "Towards more realistic membership inference attacks on large diffusion models", WACV
2024 (arXiv 2306.12983), and the list of attacks that extends it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

from jaxaudit.attacks.step import no_null_context
from jaxaudit.targets import DiffusionTarget
from jaxaudit_kernels.process import NUM_TIMESTEPS

Error = Literal["model", "latent", "pixel"]
ERRORS: tuple[Error, ...] = get_args(Error)
"""The three of (4), in order."""

ALL_NOISE = NUM_TIMESTEPS
"""As the timestep of the first z_t: nothing but noise."""

NUM_NOISES = 5
"""Over which errors are averaged."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A row of the table.

    Attributes:
      times: what the network is told, step by step; ascending ones go towards noise.
      noised: the timestep whose ᾱ_a the first z_t has, or, of a fresh schedule, that of every step.
      guidance: g of (1), None for none.
      fresh: whether z_t is made anew at every step, not carried by (3).
      text_noise: standard deviation of Gaussian noise added to the embedding of the caption.
      jolt: (time, standard deviation): noise added to the carried latents before that step.
    """

    times: tuple[int, ...]
    noised: tuple[int, ...]
    guidance: float | None = 7.5
    fresh: bool = False
    text_noise: float = 0.0
    jolt: tuple[int, float] | None = None

    @property
    def passes(self) -> int:
        """Passes of the network for one image under one noise; guidance takes two a step."""
        return len(self.times) * (1 if self.guidance is None else 2)


_FINE = tuple(range(300, 49, -10))
_COARSE = tuple(range(900, -1, -100))
_UPWARD = _COARSE[::-1]
_NOISE_SCALE = 0.1

SIXTEEN: Mapping[str, Schedule] = {
    "1": Schedule(_FINE, (300,)),
    "2": Schedule(_FINE, _FINE, fresh=True),
    "3": Schedule(_FINE, (300,), jolt=(170, _NOISE_SCALE)),
    "4": Schedule(_FINE, (300,), text_noise=_NOISE_SCALE),
    "5": Schedule(_FINE, (300,), text_noise=0.5),
    "6": Schedule(_FINE, (100,)),
    "7": Schedule(_COARSE, (100,)),
    "8": Schedule(_COARSE, (100,), text_noise=_NOISE_SCALE),
    "9": Schedule(_COARSE, (50,)),
    "10": Schedule(_COARSE, (300,)),
    "11": Schedule((200, 100, 0), (300,)),
    "12": Schedule(_COARSE, _UPWARD, guidance=100.0, fresh=True),
    "13": Schedule(_COARSE, (300,), guidance=None),
    "14": Schedule(_COARSE, (100,) * len(_COARSE), fresh=True),
    "15": Schedule(_COARSE, _UPWARD, fresh=True),
    "16": Schedule(_UPWARD, (100,)),
}
"""The sixteen, by number."""

BASELINE, GENERATION = "baseline", "generation"
SCHEDULES: Mapping[str, Schedule] = {
    **SIXTEEN,
    BASELINE: Schedule((100,), (100,), guidance=None),
    GENERATION: Schedule(tuple(range(980, -1, -20)), (ALL_NOISE,)),
}
"""With what they are compared to."""


def why_not(schedule: Schedule, target: DiffusionTarget, *, null_context: bool) -> str | None:
    """Why a target cannot be walked through by a schedule, None if it can.

    `null_context`: whether the embedding of the empty caption is known.
    """
    if schedule.text_noise and not target.context_shape:
        told = f"is told one of {target.num_classes} classes" if target.num_classes else "is told nothing"
        return f"{target.name} {told}: there is no embedding of a caption to add noise to"
    if schedule.guidance is None:
        return None
    if target.context_shape:
        return None if null_context else no_null_context(target)
    if target.null_label is None:
        lacks = "has no null label" if target.num_classes else "has no condition"
        return f"{target.name} {lacks} to guide by"
    return None
