"""What is done to a target against leakage, and the ways in which attackers ask it then.

    fresh_noise   N(0, σ²) on every answer, new each time: the mean of r answers has σ / √r             (1)
    keyed_noise   the same, but following from the question: asking again changes nothing. Where questions are
                  no mere tokens and classes, similar ones have other noise, so (1) holds up to what the
                  answers themselves differ by
    unit_mem, gradient, random   some hidden units are scaled down; but the weights show which: those of the
                  smallest norm are scaled up again                                                        (2)
    variant       another training: fewer steps, without duplicates, with noisy gradients

An attacker of levels A0 and A1 asks `AS_EVER`; one of level A2 also as (1) and (2) say. (1) holds in law, so
the mean of r answers is asked of a target with noise σ / √r, in one pass: of keyed noise that is as if
similar questions had the same answer but for the noise, the most that an attacker can hope for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.mitigation import add_told_noise, lightest_units, scale_units, unit_axis
from jaxaudit.errors import InputError
from jaxaudit.evidence import top_units
from jaxaudit.results import DefenceFacts, DefenceKind
from jaxaudit.targets import Target

AS_EVER = "asked as ever"
RESTORED = "weights restored"
UNIT_CRITERIA = ("unit_mem", "gradient", "random")
"""By what the units to scale are chosen."""
_NOISES = ("fresh_noise", "keyed_noise")


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """Another training of the target.

    Attributes:
      name: of the defence, "early stopping". strength: how much of it, smaller for less.
      target: what came of it.
    """

    name: str
    strength: float
    target: Target


@dataclasses.dataclass(frozen=True, eq=False)
class Defence:
    """One defence at one strength.

    Attributes:
      kind: see the module, or "undefended".
      strength: standard deviation of noise, share of units, or the strength of a variant.
      seed: of noise and of random units.
      variant: of kind "variant".

    Raises:
      InputError: for noise that is not positive and finite, or a share of units out of (0, 1).
    """

    kind: DefenceKind = "undefended"
    strength: float = 0.0
    seed: int = 0
    variant: Variant | None = None

    def __post_init__(self):
        if self.kind in _NOISES and not 0 < self.strength < math.inf:
            raise InputError(f"Noise of standard deviation {self.strength} is not positive and finite.")
        if self.kind in UNIT_CRITERIA and not 0 < self.strength < 1:
            raise InputError(f"A share of {self.strength} of the units is not between 0 and 1.")

    @property
    def facts(self) -> DefenceFacts:
        """The defence as results say it."""
        name = self.kind if self.variant is None else self.variant.name
        return DefenceFacts(kind=self.kind, strength=self.strength, seed=self.seed, name=name)


def ways_of_asking(
    target: Target,
    defence: Defence,
    *,
    units: Mapping[str, Float[np.ndarray, " U"]],
    factor: float,
    queries: tuple[int, ...],
) -> dict[str, tuple[str, Target]]:
    """{way of asking: (name of its folder, target that answers so)}, `AS_EVER` first.

    Args:
      target: undefended.
      defence: what is done to it.
      units: {criterion: values of its units}, those with the highest are scaled.
      factor: by which.
      queries: numbers of answers that are averaged, 1 first.
    """
    kind, seed = defence.kind, defence.seed
    if kind == "undefended":
        return {AS_EVER: ("undefended", target)}
    if kind == "variant":
        assert defence.variant is not None  # so they are made
        return {AS_EVER: (f"variant-{defence.variant.name}-{defence.strength:g}", defence.variant.target)}
    if kind in _NOISES:
        ways = {}
        for count in queries if can_be_averaged(target, defence) else (1,):
            std = defence.strength / math.sqrt(count)
            name = AS_EVER if count == 1 else averaging(count)
            ways[name] = (f"noise-{std:g}-seed{seed}", add_told_noise(target, std, seed=seed))
        return ways
    values = (
        np.random.default_rng(seed).random(unit_axis(target).num_units) if kind == "random" else units[kind]
    )
    chosen = unit_axis(target).split(top_units(values, defence.strength))
    scaled = scale_units(target, chosen, factor)
    back = scale_units(scaled, lightest_units(scaled, defence.strength), 1 / factor)
    name = f"{kind}-{defence.strength:g}-seed{seed}"
    return {AS_EVER: (name, scaled), RESTORED: (f"{name}-restored", back)}


def can_be_averaged(target: Target, defence: Defence) -> bool:
    """Whether more answers have other noise: to the same question, or to one that is a little different.

    Noised latents and embeddings of captions can be changed a little.
    """
    similar = target.kind == "diffusion" or target.context_shape is not None
    return defence.kind == "fresh_noise" or (defence.kind == "keyed_noise" and similar)


def averaging(count: int) -> str:
    """The way of asking that averages so many answers."""
    return f"mean of {count} answers"
