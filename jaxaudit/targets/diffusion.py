"""Diffusion models that predict noise.

Axes: B batch, H height, W width, h and w latent pixels, c channels of a latent, T tokens and D channels of a
caption's embedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxaudit.errors import InputError
from jaxaudit.targets.base import BaseTarget, Kind
from jaxaudit_kernels.diffusion import Schedule

Condition = Int[Array, " B"] | Float[Array, "B T D"] | None
"""What a diffusion model is conditioned on: class labels, embeddings of captions, or nothing."""


@dataclasses.dataclass(frozen=True)
class DiffusionFunctions:
    """The pure functions of a diffusion model. Every one takes `params` first and is jittable.

    Axes: h and w latent pixels, c channels of a latent, N tokens of a block, F hidden units of an MLP.
    `condition` is what the target says: labels [B], captions [B,T,D], or None.

    Attributes:
      encode: (images [B,H,W,3] float32 in the target's range, key=None) -> latents [B,h,w,c] float32, scaled
        as the model reads them: the posterior's mean, or with a key per image a draw.
      decode: latents -> images [B,H,W,3] float32 in the target's range, clamped.
      network: (z_t [B,h,w,c], time, condition) -> the network's output, float32: the noise ε̂ [B,h,w,c], or
        with a learned variance [ε̂, v] [B,h,w,2c]. `time`, a scalar or [B], is what the network is told:
        `schedule.timesteps[t]` for timestep t, and any other number it can make sense of.
      predict_noise: (z_t, timestep, condition) -> ε̂ [B,h,w,c] float32. `timestep`, a scalar or [B], is an
        index of the schedule.
      activations: (z_t, timestep, condition) -> {hidden layer: [B,N,F]}, its units after the activation
        function.
    """

    encode: Callable[..., Float[Array, "B h w c"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    network: Callable[..., Float[Array, "B h w out"]]
    predict_noise: Callable[..., Float[Array, "B h w c"]]
    activations: Callable[..., dict[str, Float[Array, "B _ _"]]]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DiffusionTarget(BaseTarget):
    """A diffusion model that predicts the noise in an image's latents (DiT, U-ViT).

    Attributes, beside those of every target:
      latent_shape: (h, w, c).
      schedule: the noise levels; its index is the timestep t, 0 .. num_timesteps - 1, from nearly clean to
        noise, in every family, whatever the network itself counts from.
      learned_variance: whether the network predicts the variance of the reverse step beside the noise.
    """

    kind: ClassVar[Kind] = "diffusion"

    functions: DiffusionFunctions
    latent_shape: tuple[int, int, int]
    schedule: Schedule
    learned_variance: bool

    @property
    def num_timesteps(self) -> int:
        """Number of timesteps."""
        return len(self.schedule.betas)

    @property
    def alphas_cumprod(self) -> Float[np.ndarray, " num_timesteps"]:
        """ᾱ_t float64, the share of an image's variance left at timestep t: z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε."""
        return self.schedule.alphas_cumprod

    def encode(
        self, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B h w c"]:
        """Latents [B,h,w,c] float32 of images [B,H,W,3] float32 in the target's range.

        The posterior's mean, or with `key`, one per image, a draw.
        """
        return self._compiled("encode")(self.params, self._images(images), key)

    def decode(self, latents: Float[Array, "B h w c"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 in the target's range."""
        return self._compiled("decode")(self.params, self._latents(latents))

    def predict_noise(
        self,
        z_t: Float[Array, "B h w c"],
        timestep: int | Int[Array, " B"],
        condition: Condition = None,
    ) -> Float[Array, "B h w c"]:
        """The noise ε̂ [B,h,w,c] float32 the model sees in noised latents. No label is ever dropped.

        Args:
          z_t: √ᾱ_t z_0 + √(1 − ᾱ_t) ε.
          timestep: t, 0 .. num_timesteps - 1, for all images or for each.
          condition: class labels or `null_label`, captions' embeddings, or None, as the target wants.

        Raises:
          InputError: if a shape, timestep or label does not fit, or the condition is of the wrong kind.
        """
        return self._compiled("predict_noise")(self.params, *self._inputs(z_t, timestep, condition))

    def activations(
        self,
        z_t: Float[Array, "B h w c"],
        timestep: int | Int[Array, " B"],
        condition: Condition = None,
    ) -> dict[str, Float[Array, "B _ _"]]:
        """{hidden layer: [B,N,F]}: its units after the activation function; arguments of `predict_noise`."""
        return self._activations(*self._inputs(z_t, timestep, condition))

    def _inputs(self, z_t: Array, timestep: Any, condition: Condition) -> tuple[Array, Array, Condition]:
        z_t = self._latents(z_t)
        return z_t, self._timestep(timestep, len(z_t)), self._condition(condition, len(z_t))

    def _latents(self, latents: Float[Array, "B h w c"]) -> Float[Array, "B h w c"]:
        if np.ndim(latents) != 4 or tuple(np.shape(latents)[1:]) != self.latent_shape:
            raise InputError(
                f"Latents of shape {np.shape(latents)} do not fit; expected [B,"
                f"{','.join(map(str, self.latent_shape))}]."
            )
        return jnp.asarray(latents, jnp.float32)

    def _timestep(self, timestep: Any, batch: int) -> Int[Array, "..."]:
        times = np.asarray(timestep)
        if times.shape not in ((), (batch,)) or times.dtype.kind not in "iu":
            raise InputError(f"timestep must be an int or {batch} ints, one per image.")
        if np.any(wrong := (times < 0) | (times >= self.num_timesteps)):
            raise InputError(f"Timestep {times[wrong].flat[0]} is not in 0..{self.num_timesteps - 1}.")
        return jnp.asarray(times, jnp.int32)

    def _condition(self, condition: Condition, batch: int) -> Condition:
        shape = None if condition is None else np.shape(condition)
        if self.num_classes:
            if shape != (batch,):
                raise InputError(f"The condition must be {batch} class labels, one per image.")
            return self._labels(condition)
        if self.context_shape:
            if shape != (batch, *self.context_shape):
                tokens, channels = self.context_shape
                raise InputError(
                    f"The condition must be embeddings of captions [{batch},{tokens},{channels}], "
                    f"not {shape or 'None'}."
                )
            return jnp.asarray(condition, jnp.float32)
        if condition is not None:
            raise InputError("The model is unconditional; its condition must be None.")
        return None
