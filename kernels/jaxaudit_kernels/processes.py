"""Processes of known models, each one declaration: signal, spread, times and what is predicted.

    linear_beta, scaled_linear_beta, cosine,    ᾱ_t = ∏_{s ≤ t} (1 − β_s), s = √ᾱ, σ = √(1 − ᾱ), in levels
    listed_betas
    linear_flow                                 s = 1 − u, σ = m + (1 − m) u, u in [0, 1], at any level

A diffusion of levels predicts the noise, v or the clean latents; a flow its velocity.

A declaration is found by its name (`declared`), so that it can stand in a target's config.
Sources: linear β: Ho et al. 2020 (arXiv 2006.11239). Cosine: Nichol & Dhariwal 2021 (arXiv 2102.09672),
eq. 17. Scaled linear β: Rombach et al. 2022 (arXiv 2112.10752). Last levels without signal: Lin et al. 2024
(arXiv 2305.08891), algorithm 1. Linear flows: Liu et al. 2023 (arXiv
2209.03003); m = 1e-5: Dao et al. 2023 (arXiv 2307.08698); time of the data: Ma et al. 2024 (arXiv
2401.08740).

Axes: T levels.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from jaxaudit_kernels.process import NOISE, Prediction, Process

Predicted = Literal["noise", "v", "clean"]


def from_betas(
    betas: Float64[np.ndarray, " T"],
    *,
    first_time: int = 0,
    predicts: Predicted = "noise",
    ends_in_noise: bool = False,
) -> Process:
    """The diffusion with these β_t; the network is told t + `first_time`.

    With `ends_in_noise`, s is shifted and stretched so that the first level stays and the last has no signal.

    Raises:
      ValueError: for a β that is not in (0, 1], an unknown prediction, and as `Process` does.
    """
    if betas.ndim != 1 or not np.isrealobj(betas):
        raise ValueError("β must be a real number for each level.")
    if wrong := np.flatnonzero(~((betas > 0) & (betas <= 1))).tolist():
        raise ValueError(f"β={betas[wrong[0]]:g} at level {wrong[0]} is not in (0, 1].")
    level = np.cumprod(1.0 - betas)
    if ends_in_noise:
        root = np.sqrt(level)
        level = (root[0] * (root - root[-1]) / (root[0] - root[-1])) ** 2
    signal, spread = np.sqrt(level), np.sqrt(1.0 - level)
    predictions = {"noise": NOISE, "v": Prediction(-spread, signal), "clean": Prediction(1.0, 0.0)}
    if predicts not in predictions:
        raise ValueError(f"predicts={predicts!r} is none of {', '.join(predictions)}.")
    times = np.arange(first_time, first_time + len(betas), dtype=np.int32)
    return Process(signal=signal, spread=spread, times=times, predicts=predictions[predicts])


def linear_beta(
    num_levels: int = 1000, *, first: float = 1e-4, last: float = 0.02, **options: Any
) -> Process:
    """β from `first` to `last` in equal steps (DiT, MDT; the defaults are those of 1,000 levels).

    `options` are those of `from_betas`.
    """
    return from_betas(np.linspace(first, last, num_levels), **options)


def scaled_linear_beta(
    num_levels: int = 1000, *, first: float = 0.00085, last: float = 0.012, **options: Any
) -> Process:
    """√β from √`first` to √`last` in equal steps (Stable Diffusion; U-ViT, with `first_time=1`)."""
    return from_betas(np.linspace(first**0.5, last**0.5, num_levels) ** 2, **options)


def cosine(num_levels: int = 1000, *, largest_beta: float = 0.999, **options: Any) -> Process:
    """ᾱ ∝ cos²((t/T + 0.008)/1.008 · π/2), β cut off at `largest_beta`."""
    level = [math.cos((i / num_levels + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(num_levels + 1)]
    betas = [min(1.0 - after / before, largest_beta) for before, after in itertools.pairwise(level)]
    return from_betas(np.array(betas), **options)


def listed_betas(betas: Sequence[float], **options: Any) -> Process:
    """β one by one."""
    return from_betas(np.asarray(betas, np.float64), **options)


def linear_flow(
    *,
    time_of: Literal["noise", "data"] = "noise",
    least_spread: float = 0.0,
    largest_time: float = 1.0,
    noise_to_signal: Sequence[float] | Float64[np.ndarray, " T"] | None = None,
) -> Process:
    """The straight path from the data to noise, whose velocity is predicted.

    Args:
      time_of: what the network's time 1 is, and where the velocity points: "noise" (rectified flow, LFM,
        DiT-MoE), or "data" (SiT).
      least_spread: m, of the data end (LFM: 1e-5).
      largest_time: what the network is told instead of 1 (diffusers: 1000).
      noise_to_signal: σ / s of each level; by default that of `linear_beta`, so that a timestep is the same
        noise as for DiT.

    Raises:
      ValueError: if a level has less noise than the data end or no signal, for another `time_of`, and as
        `Process` does.
    """
    base = linear_beta()
    ratio = base.spread / base.signal if noise_to_signal is None else np.asarray(noise_to_signal, np.float64)
    if not np.all(np.isfinite(ratio)):
        raise ValueError(f"noise_to_signal={ratio[~np.isfinite(ratio)][0]:g} is not finite.")
    u = (ratio - least_spread) / (1.0 + ratio - least_spread)
    if np.any(u < 0):
        raise ValueError(f"noise_to_signal={ratio.min():g} is less than least_spread={least_spread:g}.")
    if time_of not in ("noise", "data"):
        raise ValueError(f"time_of={time_of!r} is neither noise nor data.")
    time, sign = (u, 1.0) if time_of == "noise" else (1.0 - u, -1.0)
    return Process(
        signal=1.0 - u,
        spread=least_spread + (1.0 - least_spread) * u,
        times=largest_time * time,
        predicts=Prediction(clean=-sign, noise=sign * (1.0 - least_spread)),
    )


DECLARATIONS: dict[str, Callable[..., Process]] = {
    declaration.__name__: declaration
    for declaration in (linear_beta, scaled_linear_beta, cosine, listed_betas, linear_flow)
}
"""The declarations by name."""


def declared(config: Mapping[str, Any]) -> Process:
    """The process of a JSON-able {"name": of the declaration, ...: its arguments}; equal configs give one.

    Raises:
      ValueError: for an unknown name or argument, and as the declaration does.
    """
    return _declared(json.dumps(dict(config), sort_keys=True))


@functools.cache  # programs are cached by their process, which is compared by identity
def _declared(config: str) -> Process:
    arguments = json.loads(config)
    name = arguments.pop("name", None)
    if name not in DECLARATIONS:
        raise ValueError(f"Process {name!r} is none of {', '.join(DECLARATIONS)}.")
    try:
        return DECLARATIONS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"Process {name!r}: {error}.") from error


def respace(process: Process, num_levels: int) -> Process:
    """Some levels of a process, from first to last in equal (fractional, then rounded) strides.

    Raises:
      ValueError: if `num_levels` is not in 2 .. T.
    """
    total = process.num_levels
    if not 2 <= num_levels <= total:
        raise ValueError(f"num_levels={num_levels} is not in 2..{total}.")
    stride = (total - 1) / (num_levels - 1)
    return process.at(np.rint(np.cumsum([0.0] + [stride] * (num_levels - 1))).astype(int))
