"""Which hidden units carry the difference between members and nonmembers?  By gradient, to first order.

With a_u a factor on the incoming weights of unit u, and s the score that training raises (minus the loss),

  J(a) = mean of s over members - mean of s over nonmembers,   g_u = dJ / da_u at a = 1                  (1)

scaling a unit by 1 - h changes the gap J by -h g_u, so those with the largest g_u are the ones to scale down.
To first order this is the best choice there is, where UnitMem is a heuristic.

Axes: B batch, L tokens, V vocabulary, U units of all hidden layers, F of one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.batch import make_batch
from jaxaudit.attacks.condition import condition_of
from jaxaudit.attacks.mitigation import with_unit_factors
from jaxaudit.attacks.step import Rows, Step
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.data import PictureBatch
from jaxaudit.targets import DiscreteFunctions, Kind, Params, Target
from jaxaudit_kernels.chunks import map_chunks
from jaxaudit_kernels.sampling_law import Sampler, log_probability

_CHUNK = 32  # tokens whose logits exist at once

LOSS: dict[Kind, str] = {"discrete": "cond/loss", "diffusion": "denoising_loss"}
"""The score of each kind of target that is minus the loss."""


def gap_gradients(
    target: Target,
    members: Iterable[PictureBatch],
    nonmembers: Iterable[PictureBatch],
    *,
    key: Key[Array, ""],
) -> Float[np.ndarray, " U"]:
    """g of (1), in units of the score per factor, layer after layer.

    Args:
      target: whose units.
      members, nonmembers: batches of pictures as the target reads them.
      key: of stochastic scores.
    """
    gradient = _gradient(_SCORES[target.kind](target), tuple(target.hidden_layers.items()))
    ones = {name: jnp.ones(width) for name, width in target.hidden_widths.items()}
    means = []
    for side in (members, nonmembers):
        total, count = np.zeros(sum(target.hidden_widths.values())), 0
        for batch in side:
            rows = make_batch(target, batch.images, condition_of(target, batch), ids=batch.ids)
            found = jax.device_get(gradient(ones, target.params, key, rows))
            total += np.concatenate([found[name] for name in target.hidden_layers])
            count += len(batch.ids)
        means.append(total / count)
    return means[0] - means[1]


@dataclasses.dataclass(frozen=True)
class _TokenScore:
    """s of discrete tokens, with logits that can be differentiated on every platform."""

    functions: DiscreteFunctions

    def __call__(self, params: Params, key: Array, batch: Rows) -> Float[Array, " B"]:
        del key
        tokens = self.functions.encode(params, batch["images"])
        kernel, bias = self.functions.head(params)
        hidden = self.functions.hidden(params, tokens, batch["condition"])

        def chunk(tokens: Array, hidden: Array) -> Float[Array, "B l"]:
            logits = jnp.matmul(hidden, kernel, preferred_element_type=jnp.float32) + bias[None, None]
            return log_probability(logits, tokens, Sampler())

        return map_chunks(chunk, (tokens, hidden), axis=1, chunk_size=_CHUNK).mean(axis=1)


@dataclasses.dataclass(frozen=True)
class _NoiseScore:
    """s of diffusion models."""

    step: Step

    def __call__(self, params: Params, key: Array, batch: Rows) -> Float[Array, " B"]:
        return self.step((params, key), batch)["scores"][LOSS["diffusion"]]


_SCORES: dict[Kind, Callable[[Any], Callable[..., Array]]] = {
    "discrete": lambda target: _TokenScore(target.functions),
    "diffusion": lambda target: _NoiseScore(make_step(target, [LOSS["diffusion"]])),
}


@functools.lru_cache(maxsize=16)
def _gradient(
    score: Callable[..., Array], layers: tuple[tuple[str, tuple[str, ...]], ...]
) -> Callable[..., Any]:
    """(factors, params, key, batch) -> the gradient by the factors of the summed score."""

    def total(factors: Mapping[str, Array], params: Params, key: Array, batch: Rows) -> Array:
        return jnp.sum(score(with_unit_factors(params, dict(layers), factors), key, batch))

    return jax.jit(jax.grad(total))
