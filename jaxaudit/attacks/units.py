"""The hidden units of each kind of target: what they are, and how strongly they answer to a picture.

A unit is one channel of a hidden layer after its activation function. Its mean activation, (1) of
`jaxaudit_kernels.unit_memorization`, is taken teacher forced, over tokens:

    discrete tokens     per stage, a group of tokens that are predicted together: VAR has units per (scale,
                        layer, channel). Where tokens come one by one (RAR), all of them are one stage.
    continuous tokens   the positions that a layer sees, of encoder and decoder, with some tokens hidden as in
                        training (MAR)
    diffusion           the tokens of noised latents at one timestep

Layers may differ in width: their units stand on one axis, layer after layer (`jaxaudit.evidence.units`).

Axes: N views of pictures, S pixels per side, G stages, U units of all layers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.continuous import TRAINING
from jaxaudit.errors import InputError
from jaxaudit.targets import (
    Condition,
    ContinuousFunctions,
    ContinuousTarget,
    DiffusionFunctions,
    DiffusionTarget,
    DiscreteFunctions,
    DiscreteTarget,
    Kind,
    Params,
    Target,
)
from jaxaudit_kernels import draws
from jaxaudit_kernels.process import NUM_TIMESTEPS
from jaxaudit_kernels.unit_memorization import stage_means


@runtime_checkable
class Units(Protocol):
    """The units of a target, of one of the kinds below. A value: equal ones share their compiled program."""

    @property
    def stages(self) -> tuple[int, ...] | None:
        """Numbers of tokens that are measured apart; None where all are one stage."""
        ...

    def __call__(
        self,
        params: Params,
        images: Float[Array, "N S S 3"],
        condition: Condition,
        keys: Key[Array, " N"],
    ) -> Float[Array, "N G U"]:
        """Mean activations on pictures in the target's range; keys, one for each, are of what is drawn."""
        ...


@dataclasses.dataclass(frozen=True)
class DiscreteUnits:
    """The units of a `DiscreteTarget`; `stages` are numbers of tokens, None where all are one stage."""

    functions: DiscreteFunctions
    layers: tuple[str, ...]
    stages: tuple[int, ...] | None

    @classmethod
    def of(cls, target: DiscreteTarget, *, timestep: int | None, mask_ratio: float | None) -> DiscreteUnits:
        """Those of a target.

        Raises:
          InputError: if there is an option, none of which applies.
        """
        _refuse(target, timestep=timestep, mask_ratio=mask_ratio)
        several = len(target.tokens_per_step) > 1 and max(target.tokens_per_step) > 1
        return cls(target.functions, tuple(target.hidden_layers), target.tokens_per_step if several else None)

    def __call__(
        self,
        params: Params,
        images: Float[Array, "N S S 3"],
        condition: Condition,
        keys: Key[Array, " N"],
    ) -> Float[Array, "N G U"]:
        """Mean activations, teacher forced."""
        del keys
        tokens = self.functions.encode(params, images)
        return _by_layer(self.functions.activations(params, tokens, condition), self.layers, self.stages)


@dataclasses.dataclass(frozen=True)
class ContinuousUnits:
    """The units of a `ContinuousTarget` while `num_hidden` tokens are hidden."""

    functions: ContinuousFunctions
    layers: tuple[str, ...]
    num_hidden: int
    stages: None = None

    @classmethod
    def of(
        cls, target: ContinuousTarget, *, timestep: int | None, mask_ratio: float | None
    ) -> ContinuousUnits:
        """Those of a target; by default as many tokens are hidden as in training, on average.

        Raises:
          InputError: if there is a timestep, or the ratio is not in (0, 1].
        """
        _refuse(target, timestep=timestep)
        config = TRAINING if mask_ratio is None else dataclasses.replace(TRAINING, mask_ratio=mask_ratio)
        return cls(target.functions, tuple(target.hidden_layers), config.num_hidden(target.num_tokens))

    def __call__(
        self,
        params: Params,
        images: Float[Array, "N S S 3"],
        condition: Condition,
        keys: Key[Array, " N"],
    ) -> Float[Array, "N 1 U"]:
        """Mean activations over the positions each layer sees."""
        latents = self.functions.encode(params, images)
        hidden = draws.hidden_positions(keys, latents.shape[1], self.num_hidden)
        return _by_layer(
            self.functions.activations(params, latents, condition, hidden), self.layers, self.stages
        )


@dataclasses.dataclass(frozen=True)
class DiffusionUnits:
    """The units of a `DiffusionTarget` at a level, where √ᾱ = `signal` and √(1 − ᾱ) = `noise`."""

    functions: DiffusionFunctions
    layers: tuple[str, ...]
    level: int
    signal: float
    noise: float
    stages: None = None

    @classmethod
    def of(cls, target: DiffusionTarget, *, timestep: int | None, mask_ratio: float | None) -> DiffusionUnits:
        """Those of a target; t = 100 by default.

        Raises:
          InputError: if there is a mask ratio, or the target has no such timestep.
        """
        _refuse(target, mask_ratio=mask_ratio)
        timestep = 100 if timestep is None else timestep
        if not 0 <= timestep < NUM_TIMESTEPS:
            raise InputError(f"Timestep {timestep} is not in 0..{NUM_TIMESTEPS - 1}.")
        level = target.process.level(timestep)
        share = float(target.process.alphas_cumprod[level])
        return cls(
            target.functions,
            tuple(target.hidden_layers),
            level,
            signal=math.sqrt(share),
            noise=math.sqrt(1 - share),
        )

    def __call__(
        self,
        params: Params,
        images: Float[Array, "N S S 3"],
        condition: Condition,
        keys: Key[Array, " N"],
    ) -> Float[Array, "N 1 U"]:
        """Mean activations over the tokens of the noised latents."""
        latents = self.functions.encode(params, images)
        noised = self.signal * latents + self.noise * draws.noises(keys, 1, latents.shape[1:])[0]
        hidden = self.functions.activations(params, noised, jnp.int32(self.level), condition)
        return _by_layer(hidden, self.layers, self.stages)


def _refuse(target: Target, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name}={value} does not apply to {target.name}, a {target.kind} target.")


def _by_layer(
    hidden: Mapping[str, Float[Array, "N _ _"]], layers: tuple[str, ...], stages: tuple[int, ...] | None
) -> Float[Array, "N G U"]:
    """The stage means of every layer, in order; without stages, over all tokens of the layer."""
    means = [stage_means(hidden[name], stages or hidden[name].shape[1:2]) for name in layers]
    return jnp.concatenate(means, axis=-1)


_OF_KIND: dict[Kind, Callable[..., Units]] = {
    "discrete": DiscreteUnits.of,
    "continuous": ContinuousUnits.of,
    "diffusion": DiffusionUnits.of,
}


def units_of(target: Target, *, timestep: int | None = None, mask_ratio: float | None = None) -> Units:
    """The units of a target.

    Args:
      target: of any kind.
      timestep: of a diffusion model, default 100.
      mask_ratio: share of hidden tokens of a model over continuous tokens, default that of training.

    Raises:
      InputError: if the target names no hidden layers, or an option does not fit it.
    """
    if not target.hidden_layers:
        raise InputError(f"{target.name} names no hidden layers, so it has no units to measure.")
    return _OF_KIND[target.kind](target, timestep=timestep, mask_ratio=mask_ratio)
