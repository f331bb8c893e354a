"""Masked autoregressive image generators over continuous tokens.

Axes: B batch, H height, W width, L tokens, D channels of a token.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

from jaxaudit.errors import InputError
from jaxaudit.targets.base import AnyArray, Kind, Params, check_prefix
from jaxaudit.targets.latents import LatentTarget


@dataclasses.dataclass(frozen=True)
class ContinuousFunctions:
    """The pure functions of a continuous-token model. Every one takes `params` first and is jittable.

    Axes: M hidden tokens, R noises of a token, D channels of a token, F hidden units of an MLP.
    `hidden` [B,M] int32 are the positions of the hidden tokens, all different in a row; `key` has one key per
    image, so that no result depends on the rest of the batch.

    Attributes:
      encode: (images [B,H,W,3] float32 in the target's range, key=None) -> latents [B,L,D] float32, scaled as
        the model reads them: the posterior's mean, or with a key a draw.
      decode: latents -> images [B,H,W,3] float32 in the target's range, clamped.
      conditions: (latents, labels [B], hidden) -> z [B,M,C] float32, what the model knows of each hidden
        token from the visible ones.
      head_losses: (z [B,M,C], latents [B,M,D], timestep, noise [R,B,M,D]) -> {"mse", "vb", "loss"}, each
        [R,B,M] float32: the training loss of the given clean tokens under each noise. `timestep` is a scalar,
        [B,M], or [R,B,M]; in the first two forms the noises share the conditioning, computed once.
      sample: (z [B,M,C], key) -> latents [B,M,D] drawn from the model.
      activations: (latents, labels, hidden) -> {hidden layer: [B,N,F]}, its units after the activation
        function; N are class positions and visible tokens in the encoder, and all tokens in the decoder.
      complete: (latents, labels, prefix, order [B,L], key) -> latents [B,L,D]; keeps the tokens of the first
        `prefix` (static int) generation steps and draws the others. `order` lists the positions in the order
        in which they are generated.
    """

    encode: Callable[..., Float[Array, "B L D"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    conditions: Callable[..., Float[Array, "B M C"]]
    head_losses: Callable[..., dict[str, Float[Array, "R B M"]]]
    sample: Callable[..., Float[Array, "B M D"]]
    activations: Callable[..., dict[str, Float[Array, "B _ _"]]]
    complete: Callable[..., Float[Array, "B L D"]]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ContinuousTarget(LatentTarget):
    """A masked autoregressive image generator over continuous tokens (MAR).

    Attributes, beside those of every target:
      latent_shape: (L, D).
      num_timesteps: timesteps of the diffusion loss are 0 .. num_timesteps - 1, from clean to noise.
    """

    kind: ClassVar[Kind] = "continuous"

    functions: ContinuousFunctions
    latent_shape: tuple[int, int]
    num_timesteps: int

    def token_losses(
        self,
        latents: Float[AnyArray, "B L D"],
        labels: Int[AnyArray, " B"],
        mask: Num[AnyArray, "B L"],
        timestep: int | Int[AnyArray, "B L"],
        noise: Float[AnyArray, "B L D"],
    ) -> dict[str, Float[Array, "B L"]]:
        """The diffusion loss of every hidden token, given the visible ones. No label is ever dropped.

        Args:
          latents: clean tokens.
          labels: class labels, or `null_label`.
          mask: 1 where a token is hidden, else 0; every row hides the same number.
          timestep: 0 .. num_timesteps - 1, for all tokens or for each.
          noise: standard Gaussian; only that of hidden tokens is used.

        Returns:
          "mse", "vb" (bits) and "loss", their sum, float32; 0 at visible tokens.

        Raises:
          InputError: if a shape, label, mask or timestep does not fit.
        """
        times = np.asarray(timestep)
        if times.shape not in ((), np.shape(mask)) or times.dtype.kind not in "iu":
            raise InputError(f"timestep must be an int or ints of the mask's shape {np.shape(mask)}.")
        if np.any(wrong := (times < 0) | (times >= self.num_timesteps)):
            raise InputError(f"Timestep {times[wrong].flat[0]} is not in 0..{self.num_timesteps - 1}.")
        return _compile_losses(self.functions)(
            self.params,
            self._latents(latents),
            self._labels(labels),
            self._hidden(mask),
            jnp.asarray(times, jnp.int32),
            self._latents(noise),
        )

    def activations(
        self, latents: Float[AnyArray, "B L D"], labels: Int[AnyArray, " B"], mask: Num[AnyArray, "B L"]
    ) -> dict[str, Float[Array, "B _ _"]]:
        """{hidden layer: [B,N,F]}: its units after the activation function.

        `mask` is that of `token_losses`. N are the class positions and the visible tokens in the encoder, the
        class positions and all tokens in the decoder.
        """
        return self._activations(self._latents(latents), self._labels(labels), self._hidden(mask))

    def complete(
        self,
        latents: Float[AnyArray, "B L D"],
        labels: Int[AnyArray, " B"],
        prefix: int,
        *,
        order: Int[AnyArray, "B L"],
        key: Key[Array, " B"],
    ) -> Float[Array, "B L D"]:
        """Keeps the tokens of the first `prefix` generation steps of `latents` and draws the others.

        Args:
          latents: clean tokens; those of later steps are not read.
          labels: class labels, or `null_label`.
          prefix: number of steps to keep.
          order: the positions in the order in which they are generated.
          key: one per image.

        Raises:
          InputError: if `prefix` is not in 0 .. number of steps, or a row of `order` is no permutation.
        """
        check_prefix(prefix, self.tokens_per_step)
        rows = np.asarray(order)
        if rows.shape != np.shape(latents)[:2] or np.any(np.sort(rows, 1) != np.arange(self.num_tokens)):
            raise InputError(
                f"order must list the positions 0..{self.num_tokens - 1} once in each of B rows."
            )
        return self._compiled("complete", static=(3,))(
            self.params,
            self._latents(latents),
            self._labels(labels),
            prefix,
            jnp.asarray(rows, jnp.int32),
            key,
        )

    def _hidden(self, mask: Num[AnyArray, "B L"]) -> Int[Array, "B M"]:
        """The positions where the mask is 1, ascending."""
        hides = np.asarray(mask)
        if hides.ndim != 2 or hides.shape[1] != self.num_tokens or not np.isin(hides, (0, 1)).all():
            raise InputError(f"The mask must hold 0 and 1 in the shape [B,{self.num_tokens}].")
        counts = np.unique(hides.sum(1, dtype=int))
        if len(counts) != 1 or counts[0] == 0:
            raise InputError(
                "Every row of the mask must hide the same number of tokens, at least one; "
                f"its rows hide {', '.join(map(str, counts))}."
            )
        return jnp.asarray(np.nonzero(hides)[1].reshape(len(hides), -1), jnp.int32)


@functools.lru_cache(maxsize=64)
def _compile_losses(functions: ContinuousFunctions) -> Callable[..., Any]:
    return jax.jit(functools.partial(_token_losses, functions))


def _token_losses(
    functions: ContinuousFunctions,
    params: Params,
    latents: Array,
    labels: Array,
    hidden: Array,
    timestep: Array,
    noise: Array,
) -> dict[str, Array]:
    rows = jnp.arange(len(latents))[:, None]
    z = functions.conditions(params, latents, labels, hidden)
    if timestep.ndim:
        timestep = timestep[rows, hidden]
    losses = functions.head_losses(params, z, latents[rows, hidden], timestep, noise[rows, hidden][None])
    visible = jnp.zeros(latents.shape[:2], jnp.float32)
    return {name: visible.at[rows, hidden].set(loss[0]) for name, loss in losses.items()}
