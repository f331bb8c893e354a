"""New pictures from a target, drawn as its model draws them: for how good and how different they are.

    discrete    tokens from the softmax of the logits: the greedy choice under Gumbel noise,
                argmax_v (z_v + G_v), is a draw from softmax(z)                                           (1)
    continuous  tokens in an order of the picture's own, as the model's own `complete` does from nothing
    diffusion   DDIM from noise through evenly spaced levels to the clean latents                         (2)

Without guidance. What is drawn follows from the id of the picture: not from the batch, its order or the
devices.

Sources: (1) Gumbel 1954; (2) Song, Meng, Ermon, ICLR 2021.

Axes: B batch, H and W pixels, L tokens, D channels of a token, V vocabulary, h and w latent pixels,
c channels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.condition import condition_arrays
from jaxaudit.attacks.step import Rows
from jaxaudit.runtime.mesh import mesh_of, replicated
from jaxaudit.runtime.parallel import Pending, data_parallel
from jaxaudit.runtime.partition import place
from jaxaudit.targets import (
    ContinuousFunctions,
    ContinuousTarget,
    DiffusionFunctions,
    DiffusionTarget,
    DiscreteFunctions,
    DiscreteTarget,
    Given,
    Kind,
    Target,
)
from jaxaudit_kernels import draws
from jaxaudit_kernels.denoising import ddim_chain
from jaxaudit_kernels.process import Process, noise_levels

Inputs = tuple[Any, Key[Array, ""]]
NUM_LOOKS = 50
"""Of a diffusion model at a picture; published samplers take 50 to 250."""
_LEAST_SIGNAL = 1e-5  # share of the variance; below it the clean latents cannot be told from the noise


@dataclasses.dataclass(frozen=True)
class _DiscreteDrawing:
    """(1). Jittable: ((params, key), {"condition", "ids"}) -> images [B,H,W,3]."""

    functions: DiscreteFunctions
    num_tokens: int

    @classmethod
    def of(cls, target: DiscreteTarget) -> _DiscreteDrawing:
        return cls(target.functions, target.num_tokens)

    def __call__(self, inputs: Inputs, batch: Rows) -> Float[Array, "B H W 3"]:
        params, key = inputs
        keys = draws.image_keys(key, batch["ids"])

        def gumbel(
            tokens: Array, condition: Array, first: Any, count: int, size: int
        ) -> Float[Array, "B l V"]:
            return jax.vmap(lambda key: jax.random.gumbel(jax.random.fold_in(key, first), (count, size)))(
                keys
            )

        nothing = jnp.zeros((len(batch["ids"]), self.num_tokens), jnp.int32)
        tokens = self.functions.complete(params, nothing, batch.get("condition"), 0, noise=gumbel)
        return self.functions.decode(params, tokens)


@dataclasses.dataclass(frozen=True)
class _ContinuousDrawing:
    """As `_DiscreteDrawing`."""

    functions: ContinuousFunctions
    latent_shape: tuple[int, int]

    @classmethod
    def of(cls, target: ContinuousTarget) -> _ContinuousDrawing:
        return cls(target.functions, target.latent_shape)

    def __call__(self, inputs: Inputs, batch: Rows) -> Float[Array, "B H W 3"]:
        params, key = inputs
        keys = draws.image_keys(key, batch["ids"])
        length, _ = self.latent_shape
        order = jax.vmap(lambda key: jax.random.permutation(jax.random.fold_in(key, 1), length))(keys)
        nothing = jnp.zeros((len(batch["ids"]), *self.latent_shape), jnp.float32)
        latents = self.functions.complete(params, nothing, batch["condition"], 0, order, keys)
        return self.functions.decode(params, latents)


@dataclasses.dataclass(frozen=True)
class _DiffusionDrawing:
    """(2), as `_DiscreteDrawing`."""

    functions: DiffusionFunctions
    process: Process
    latent_shape: tuple[int, int, int]

    @classmethod
    def of(cls, target: DiffusionTarget) -> _DiffusionDrawing:
        return cls(target.functions, target.process, target.latent_shape)

    def __call__(self, inputs: Inputs, batch: Rows) -> Float[Array, "B H W 3"]:
        params, key = inputs
        condition = batch.get("condition")
        noise = draws.noises(draws.image_keys(key, batch["ids"]), 1, self.latent_shape)[0]
        last = int(np.flatnonzero(self.process.alphas_cumprod > _LEAST_SIGNAL)[-1])
        index = np.round(np.linspace(last, 0, NUM_LOOKS)).astype(np.int32)
        levels = noise_levels(self.process, jnp.broadcast_to(index[:, None], (NUM_LOOKS, len(noise))))
        denoise = functools.partial(self.functions.denoise, params)
        z = ddim_chain(denoise, noise, levels, condition)[-1]
        first = jax.tree.map(lambda x: x[-1], levels)
        signal, spread = first.over(z)
        return self.functions.decode(params, (z - spread * denoise(z, first.index, condition).eps) / signal)


_DRAWINGS: Mapping[Kind, Any] = {
    "discrete": _DiscreteDrawing,
    "continuous": _ContinuousDrawing,
    "diffusion": _DiffusionDrawing,
}


def drawing_step(target: Target) -> Callable[[Inputs, Rows], Float[Array, "B H W 3"]]:
    """((params, key), {"condition", "ids"}) -> images [B,H,W,3] in the target's range, jittable."""
    return _DRAWINGS[target.kind].of(target)


class Drawing:
    """Draws batch after batch.

    Args:
      target: of any kind.
      seed: of all that is drawn.
    """

    def __init__(self, target: Target, *, seed: int = 0):
        mesh = mesh_of(target.params)
        self.target = target
        self._inputs = (
            place(target.params, target.partition, mesh),
            jax.device_put(jax.random.key(seed), replicated(mesh)),
        )
        self._run = data_parallel(drawing_step(target), mesh)

    def submit(self, condition: Given, *, ids: Sequence[Any], padded_size: int = 1) -> Pending:
        """Starts a batch; its result are images [B,H,W,3] float32 in the target's range.

        Args:
          condition: classes [B], embeddings of captions [B,T,D], or None, as the target wants.
          ids: B names that stay with the pictures, from which they follow.
          padded_size: rows the batch is filled up to.

        Raises:
          InputError: if the condition has another shape, or a label is no class of the target.
        """
        told = condition_arrays(self.target, condition, len(ids))
        batch = {name: told[name] for name in ("condition",) if name in told}
        return self._run(self._inputs, {**batch, "ids": draws.id_numbers(ids)}, padded_size)
