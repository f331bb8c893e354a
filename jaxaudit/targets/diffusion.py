"""Diffusion and flow models, as predictions of the noise whatever they were trained to predict.

Axes: B batch, H height, W width, h and w latent pixels, c channels of a latent, T tokens and D channels of a
caption's embedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxaudit.errors import InputError
from jaxaudit.targets.base import AnyArray, Condition, Given, Kind
from jaxaudit.targets.latents import LatentTarget
from jaxaudit_kernels.process import Denoised, Process


@dataclasses.dataclass(frozen=True)
class DiffusionFunctions:
    """The pure functions of a diffusion or flow model. Every one takes `params` first and is jittable.

    Axes: h and w latent pixels, c channels of a latent, N tokens of a block, F hidden units of an MLP.
    `condition` is what the target says: labels [B], captions [B,T,D], or None. `level`, a scalar or [B], is
    an index of the target's process, and z_t = √ᾱ z + √(1 − ᾱ) ε there, whatever the network itself reads.

    Attributes:
      encode: (images [B,H,W,3] float32 in the target's range, key=None) -> latents [B,h,w,c] float32, scaled
        as the model reads them: the posterior's mean, or with a key per image a draw.
      decode: latents -> images [B,H,W,3] float32 in the target's range, clamped.
      denoise: (z_t [B,h,w,c], level, condition) -> the noise ε̂ [B,h,w,c] float32 that the network sees, and
        the variance if it has learned one. Networks that know no noise at all also take the level CLEAN.
      activations: (z_t, level, condition) -> {hidden layer: [B,N,F]}, its units after the activation
        function.
      denoise_masked: (z_t, level, condition, key [B]) -> as `denoise`, with a share of the tokens hidden that
        each image's key draws; None unless the model was also trained so.
      reconstruct: `decode` as a smooth function, neither clamped nor quantised; None where it is one.
    """

    encode: Callable[..., Float[Array, "B h w c"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    denoise: Callable[..., Denoised]
    activations: Callable[..., dict[str, Float[Array, "B _ _"]]]
    denoise_masked: Callable[..., Denoised] | None = None
    reconstruct: Callable[..., Float[Array, "B H W 3"]] | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DiffusionTarget(LatentTarget):
    """A model that turns noise into an image's latents (DiT, U-ViT, flows).

    Attributes, beside those of every target:
      latent_shape: (h, w, c).
      process: what it was trained to undo; its levels count from nearly clean to noise, in every family,
        whatever the network itself counts from.
    """

    kind: ClassVar[Kind] = "diffusion"

    functions: DiffusionFunctions
    latent_shape: tuple[int, int, int]
    process: Process

    def predict_noise(
        self,
        z_t: Float[AnyArray, "B h w c"],
        level: int | Int[AnyArray, " B"],
        condition: Given = None,
    ) -> Float[Array, "B h w c"]:
        """The noise ε̂ [B,h,w,c] float32 the model sees in noised latents. No label is ever dropped.

        Args:
          z_t: √ᾱ z + √(1 − ᾱ) ε, ᾱ that of the level (`process.alphas_cumprod`).
          level: 0 .. process.num_levels - 1, for all images or for each.
          condition: class labels or `null_label`, captions' embeddings, or None, as the target wants.

        Raises:
          InputError: if a shape, level or label does not fit, or the condition is of the wrong kind.
        """
        return self._compiled("denoise")(self.params, *self._inputs(z_t, level, condition)).eps

    def activations(
        self,
        z_t: Float[AnyArray, "B h w c"],
        level: int | Int[AnyArray, " B"],
        condition: Given = None,
    ) -> dict[str, Float[Array, "B _ _"]]:
        """{hidden layer: [B,N,F]}: its units after the activation function; arguments of `predict_noise`."""
        return self._activations(*self._inputs(z_t, level, condition))

    def _inputs(self, z_t: AnyArray, level: Any, condition: Given) -> tuple[Array, Array, Condition]:
        latents = self._latents(z_t)
        return latents, self._level(level, len(latents)), self._condition(condition, len(latents))

    def _level(self, level: Any, batch: int) -> Int[Array, "..."]:
        levels, count = np.asarray(level), self.process.num_levels
        if levels.shape not in ((), (batch,)) or levels.dtype.kind not in "iu":
            raise InputError(f"level must be an int or {batch} ints, one per image.")
        if np.any(wrong := (levels < 0) | (levels >= count)):
            raise InputError(f"Level {levels[wrong].flat[0]} is not in 0..{count - 1}.")
        return jnp.asarray(levels, jnp.int32)
