"""Training with differential privacy: each picture's gradient is clipped, and noise hides what it adds.

A step takes each of n pictures by a coin of its own with probability q = min(b / N, 1), where b is the batch
size and N the number of pictures that there could be, which does not depend on who is in. With g_i the
gradient of the loss of picture i alone, with random numbers of its own,

  g = (sum over the taken of g_i min(1, C / |g_i|)  +  s C z) / (q N),   z ~ N(0, I)                   (1)

goes to the optimiser. Pictures are worked off in pieces of one size, the last one filled up and masked, so
that as many can be taken as the coins say. What epsilon this has: `jaxaudit.stats.training_epsilon`.

Source: Abadi et al. 2016 (arXiv 1607.00133), algorithm 1; q N in place of the number taken, as a count that
depends on the records would need noise of its own.

Axes: K pictures of a piece.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Int, Key

from jaxaudit.errors import InputError

_PIECE = 32  # pictures whose gradients exist at once


@dataclasses.dataclass(frozen=True)
class Privacy:
    """How a training is made private.

    Attributes:
      noise_multiplier: s of (1), above 0.
      clip_norm: C of (1), above 0.
      num_candidates: N of (1): pictures that may be trained on, in or not.

    Raises:
      InputError: if one of them is out of range.
    """

    noise_multiplier: float
    clip_norm: float
    num_candidates: int

    def __post_init__(self):
        for name in ("noise_multiplier", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name}={getattr(self, name)} is no positive number.")

    def sampling_rate(self, batch_size: int) -> float:
        """q of (1)."""
        return min(batch_size / self.num_candidates, 1.0)


def private_step(
    loss_function: Callable[..., tuple[Array, Mapping[str, Array]]],
    optimizer: optax.GradientTransformation,
    make_batch: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    num_examples: int,
    batch_size: int,
    privacy: Privacy,
    *,
    seed: int,
) -> Callable[[Any, int], tuple[Any, Mapping[str, Array]]]:
    """(state, step) -> (state after the step, mean loss and metrics of the pictures taken).

    What is taken and the noise depend on `seed` and the number of the step alone.

    Args:
      loss_function, optimizer, make_batch, num_examples, seed: as `jaxaudit.training.loop.fit`; the loss of a
        batch of one must be that of the picture.
      batch_size: b of (1).
      privacy: the rest of (1).
    """
    rate = privacy.sampling_rate(batch_size)
    deviation = privacy.noise_multiplier * privacy.clip_norm

    def gradient(params: Any, example: Mapping[str, Array], key: Key[Array, ""]) -> tuple[Any, Any]:
        alone = jax.tree.map(lambda leaf: leaf[None], example)
        (loss, metrics), gradients = jax.value_and_grad(loss_function, has_aux=True)(params, alone, key)
        return gradients, {"loss": loss, **metrics}

    @jax.jit
    def piece_sums(
        params: Any,
        piece: Mapping[str, Array],
        rows: Int[Array, " K"],
        taken: Bool[Array, " K"],
        key: Key[Array, ""],
    ) -> tuple[Any, Mapping[str, Array]]:
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
        gradients, metrics = jax.vmap(gradient, (None, 0, 0))(params, piece, keys)
        present = jax.tree.map(lambda leaf: _masked(leaf, taken), gradients)
        clipped, _ = optax.per_example_global_norm_clip(present, privacy.clip_norm)
        return clipped, {name: _masked(values, taken).sum() for name, values in metrics.items()}

    @jax.jit
    def update(state: Any, total: Any, key: Key[Array, ""]) -> Any:
        gradients = optax.tree.scale(
            1 / (rate * privacy.num_candidates),
            optax.tree.add(total, optax.tree.scale(deviation, optax.tree.random_like(key, total))),
        )
        updates, optimizer_state = optimizer.update(gradients, state["optimizer"], state["params"])
        return {"params": optax.apply_updates(state["params"], updates), "optimizer": optimizer_state}

    def take(state: Any, step: int) -> tuple[Any, Mapping[str, Array]]:
        example_key, noise_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
        (rows,) = np.nonzero(np.random.default_rng((seed, step)).random(num_examples) < rate)
        sums = []
        for start in range(0, max(len(rows), 1), _PIECE):  # a step that takes nothing adds noise all the same
            piece = rows[start : start + _PIECE]
            filled, taken = np.resize(piece, _PIECE), np.arange(_PIECE) < len(piece)
            sums.append(piece_sums(state["params"], make_batch(filled), filled, taken, example_key))
        total, summed = functools.reduce(optax.tree.add, sums)
        means = {name: value / max(len(rows), 1) for name, value in summed.items()}
        return update(state, total, noise_key), means

    return take


def _masked(values: Array, taken: Bool[Array, " K"]) -> Array:
    """[K,...] zero where nothing was taken."""
    return jnp.where(jnp.expand_dims(taken, tuple(range(1, values.ndim))), values, 0)
