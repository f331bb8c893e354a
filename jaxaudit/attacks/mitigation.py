"""Mitigations: targets changed so that they give away less, to be attacked like any other.

Scaling units. The incoming weights of some hidden units (columns of the MLP's first linear map, not its bias)
are multiplied by a factor, 0.5 in the publication. Which units is decided by one number per unit:

    unit_mem    UnitMem, on which the mitigation rests
    activation  the mean activation over all pictures: are merely active units as good?
    random      by chance: is any unit as good?

A VAR has one UnitMem per scale, while its scales share their weights: the largest over the scales counts, so
a unit is scaled if it is among the top ones anywhere, and q% of the units are scaled in every family. Output
noise is described in `jaxaudit.families.noise`.

Source: Kasliwal, Boenisch, Dziedzic, arXiv 2509.00488; output noise: Kowalczuk et al., ICML 2025, arXiv
2502.02514.

Axes: T stages, U units of all hidden layers, F of one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array, Bool, Float

from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import UnitAxis, UnitMap, top_units
from jaxaudit.families.noise import AnyTarget, OutputNoise, with_noise_params, with_output_noise
from jaxaudit.targets import HiddenLayers, Params, Target

_NOISE_LAW = 2  # continuous in the question; the first was keyed by its bits
CRITERIA = ("unit_mem", "activation", "random")
"""By what units can be chosen."""


def choose_units(
    units: UnitMap, share: float, *, by: str = "unit_mem", seed: int = 0
) -> dict[str, Bool[np.ndarray, " _"]]:
    """The `share` of all units that are highest by a criterion, or random; at least one.

    Args:
      units: the map of a target's units.
      share: in (0, 1].
      by: see the module.
      seed: of "random".

    Returns:
      {hidden layer: [F], whether a unit is chosen}.

    Raises:
      InputError: for another criterion, with the nearest, or a share out of range.
    """
    if not 0 < share <= 1:
        raise InputError(f"A share of {share} of the units is not in (0, 1].")
    if by == "unit_mem":
        values = units.unit_mem[-1].max(0)
    elif by == "activation":
        values = units.mean.max(0)
    elif by == "random":
        values = np.random.default_rng(seed).random(units.axis.num_units)
    else:
        raise unknown_name("criterion of units", by, CRITERIA)
    return units.axis.split(top_units(values, share))


def unit_axis(target: Target) -> UnitAxis:
    """The axis of the units of a target's hidden layers."""
    return UnitAxis(tuple(target.hidden_widths), tuple(target.hidden_widths.values()))


def lightest_units(target: Target, share: float) -> dict[str, Bool[np.ndarray, " _"]]:
    """The `share` of all units whose incoming weights are smallest beside the others of their layer.

    Of a target whose units were scaled down these are the scaled ones, as far as the norms of the weights
    differed less before: whoever has the weights can scale them back.

    Args:
      target: whose units.
      share: in (0, 1].

    Returns:
      {hidden layer: [F], whether a unit is chosen}.
    """
    leaves: dict[Any, Any] = traverse_util.flatten_dict(target.params)
    norms = []
    for path in target.hidden_layers.values():
        kernel = np.asarray(leaves[(*path, "kernel")], np.float64)
        norm = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
        norms.append(norm / max(float(np.median(norm)), np.finfo(float).tiny))
    return unit_axis(target).split(top_units(-np.concatenate(norms), share))


def with_unit_factors(
    params: Params, layers: HiddenLayers, factors: Mapping[str, Float[Array, " F"]]
) -> Params:
    """Parameters with the incoming weights of hidden units multiplied by a factor each; differentiable.

    Args:
      params: of a target. layers: its hidden ones.
      factors: {hidden layer: [F]}; layers left out stay as they are.
    """
    leaves: dict[Any, Any] = traverse_util.flatten_dict(params)
    for name, factor in factors.items():
        path = (*layers[name], "kernel")
        kernel = leaves[path]
        leaves[path] = kernel * jnp.expand_dims(factor, range(kernel.ndim - 1)).astype(kernel.dtype)
    return traverse_util.unflatten_dict(leaves)


def scale_units(target: AnyTarget, units: Mapping[str, Bool[np.ndarray, " _"]], factor: float) -> AnyTarget:
    """The target with the incoming weights of the chosen hidden units multiplied by `factor`.

    Its fingerprint is another one, its parameters share everything else with the target's.

    Args:
      target: whose units are scaled.
      units: {hidden layer: [F], whether a unit is chosen}; layers left out stay as they are.
      factor: see the module.

    Raises:
      InputError: if the target has no such layer, or one of another width, or the factor is not a finite
        number.
    """
    if not np.isfinite(factor):
        raise InputError(f"factor={factor} is no number to scale weights by.")
    widths = target.hidden_widths
    for name, chosen in units.items():
        if name not in widths:
            raise unknown_name("hidden layer", name, widths)
        if np.shape(chosen) != (widths[name],):
            raise InputError(
                f"Units of shape {np.shape(chosen)} do not fit {name} of {target.name}; expected "
                f"[{widths[name]}]."
            )
    factors = {name: jnp.where(jnp.asarray(chosen, bool), factor, 1.0) for name, chosen in units.items()}
    every = [np.asarray(units.get(name, np.zeros(width)), bool) for name, width in widths.items()]
    chosen = np.concatenate(every)
    digest = hashlib.sha256(np.packbits(chosen).tobytes()).hexdigest()
    facts = {"scaled_units": int(chosen.sum()), "factor": float(factor), "units_sha256": digest}
    return _mitigated(target, facts, params=with_unit_factors(target.params, target.hidden_layers, factors))


def add_output_noise(target: AnyTarget, std: float, *, seed: int = 0) -> AnyTarget:
    """The target that answers with noise N(0, std²), see `jaxaudit.families.noise`.

    To save it, save its parameters under `noisy_config`.

    Raises:
      InputError: if `std` is not positive.
    """
    noise = OutputNoise(float(std), seed)
    functions = with_output_noise(target, noise).functions
    return _mitigated(target, _noise_facts(target, noise), functions=functions)


def add_told_noise(target: AnyTarget, std: float, *, seed: int = 0) -> AnyTarget:
    """The same target, but for where the noise stands: such targets share their compiled programs.

    It cannot be saved.

    Raises:
      InputError: if `std` is not positive.
    """
    noise = OutputNoise(float(std), seed)
    noisy = with_noise_params(target, noise)
    return _mitigated(target, _noise_facts(target, noise), functions=noisy.functions, params=noisy.params)


def noisy_config(config: Mapping[str, Any], std: float, *, seed: int = 0) -> dict[str, Any]:
    """The config under which a target is saved so that it answers with noise when it is loaded."""
    return {**config, "output_noise": dataclasses.asdict(OutputNoise(float(std), seed))}


def _noise_facts(target: Target, noise: OutputNoise) -> dict[str, Any]:
    """What tells it from the target without noise, and from one whose noise follows another law."""
    law = {"law": _NOISE_LAW} if target.kind == "diffusion" else {}
    return {"output_noise": {**dataclasses.asdict(noise), **law}}


def _mitigated(target: AnyTarget, facts: Mapping[str, Any], **changes: Any) -> AnyTarget:
    before = target.provenance.get("fingerprint")
    fingerprint = hashlib.sha256(f"{before} {sorted(facts.items())}".encode()).hexdigest()
    earlier = target.provenance.get("mitigations", [])
    provenance = {**target.provenance, "mitigations": [*earlier, dict(facts)], "fingerprint": fingerprint}
    return dataclasses.replace(target, provenance=provenance, **changes)
