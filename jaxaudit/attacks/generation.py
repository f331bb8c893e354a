"""New pictures from a model, one per condition: what nobody took, to measure what attacks make of them.

  discrete tokens     t = argmax(logits + g),  g standard Gumbel: a draw from softmax(logits)              (1)
  continuous tokens   drawn in a random order, as the model's own `complete` does from nothing
  diffusion           from noise to the first level in 50 deterministic steps (DDIM)

Temperature 1, no guidance. A picture follows from its condition, its id and the key alone.

Axes: B batch, H and W pixels, h and w latent pixels, c and D channels, L tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxaudit.attacks.condition import condition_arrays
from jaxaudit.targets import (
    Condition,
    ContinuousTarget,
    DiffusionFunctions,
    DiffusionTarget,
    DiscreteFunctions,
    DiscreteTarget,
    Given,
    Params,
    Target,
)
from jaxaudit_kernels import draws
from jaxaudit_kernels.denoising import ddim_chain
from jaxaudit_kernels.process import Process, noise_levels

_DIFFUSION_STEPS = 50
_LEAST_SIGNAL = 1e-3  # DDIM divides by it


def generate(
    target: Target, condition: Given, *, key: Key[Array, ""], ids: Sequence[Any] | np.ndarray
) -> Float[np.ndarray, "B H W 3"]:
    """Pictures [B,H,W,3] float32 in the target's range.

    Args:
      target: of any kind.
      condition: classes [B], embeddings of captions [B,T,D] or None, as the target wants.
      key: of the draws.
      ids: B names, from which the draws of each picture follow.

    Raises:
      InputError: if the condition does not fit.
    """
    told = condition_arrays(target, condition, len(ids)).get("condition")
    given = None if told is None else jnp.asarray(told)
    keys = draws.image_keys(key, draws.id_numbers(ids))
    if isinstance(target, DiscreteTarget):
        drawn = _tokens(target, given, keys)
    elif isinstance(target, ContinuousTarget):
        drawn = _latents(target, given, keys)
    else:
        drawn = _denoised(target, given, keys)
    return np.asarray(target.decode(drawn))


def _tokens(target: DiscreteTarget, condition: Condition, keys: Key[Array, " B"]) -> Int[Array, "B L"]:
    """(1)."""
    nothing = jnp.zeros((len(keys), target.num_tokens), jnp.int32)
    return _token_program(target.functions)(target.params, nothing, condition, keys)


@functools.lru_cache(maxsize=8)
def _token_program(functions: DiscreteFunctions) -> Callable[..., Int[Array, "B L"]]:
    def draw(params: Params, nothing: Array, condition: Condition, keys: Key[Array, " B"]) -> Array:
        def gumbel(tokens: Array, condition: Any, first: Any, count: int, size: int) -> Array:
            del tokens, condition
            here = jax.vmap(lambda key: jax.random.fold_in(key, first))(keys)
            return jax.vmap(lambda key: jax.random.gumbel(key, (count, size)))(here)

        return functions.complete(params, nothing, condition, 0, noise=gumbel)

    return jax.jit(draw)


def _latents(target: ContinuousTarget, condition: Condition, keys: Key[Array, " B"]) -> Float[Array, "B L D"]:
    length, channels = target.latent_shape
    order = jax.vmap(lambda key: jax.random.permutation(jax.random.fold_in(key, 1), length))(keys)
    nothing = jnp.zeros((len(keys), length, channels), jnp.float32)
    assert condition is not None  # every continuous target is told classes
    return target.complete(nothing, condition, 0, order=order, key=keys)


def _denoised(
    target: DiffusionTarget, condition: Condition, keys: Key[Array, " B"]
) -> Float[Array, "B h w c"]:
    start = draws.noises(keys, 1, target.latent_shape)[0]
    return _diffusion_program(target.functions, target.process)(target.params, start, condition)


@functools.lru_cache(maxsize=8)
def _diffusion_program(
    functions: DiffusionFunctions, process: Process
) -> Callable[..., Float[Array, "B h w c"]]:
    last = np.flatnonzero(process.signal > _LEAST_SIGNAL)[-1]
    levels = np.rint(np.linspace(last, 0, _DIFFUSION_STEPS)).astype(np.int32)

    def run(params: Params, start: Array, condition: Condition) -> Array:
        at = noise_levels(process, jnp.broadcast_to(levels[:, None], (len(levels), len(start))))
        return ddim_chain(functools.partial(functions.denoise, params), start, at, condition)[-1]

    return jax.jit(run)
