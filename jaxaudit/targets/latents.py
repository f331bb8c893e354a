"""What targets have in common that stand for an image by latents.

Axes: B batch, H height, W width; *latent the axes of a latent, (L, D) or (h, w, c).
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxaudit.errors import InputError
from jaxaudit.targets.base import AnyArray, BaseTarget


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LatentTarget(BaseTarget):
    """A target with an autoencoder between images and latents of `latent_shape`."""

    latent_shape: tuple[int, ...]

    def encode(
        self, images: Float[AnyArray, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, " B *latent"]:
        """Latents float32 of images [B,H,W,3] float32 in the target's range.

        The posterior's mean, or with `key`, one per image, a draw.
        """
        return self._compiled("encode")(self.params, self._images(images), key)

    def decode(self, latents: Float[AnyArray, " B *latent"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 in the target's range."""
        return self._compiled("decode")(self.params, self._latents(latents))

    def _latents(self, latents: Float[AnyArray, " B *latent"]) -> Float[Array, " B *latent"]:
        if np.shape(latents)[1:] != self.latent_shape:
            raise InputError(
                f"Latents of shape {np.shape(latents)} do not fit; "
                f"expected [B,{','.join(map(str, self.latent_shape))}]."
            )
        return jnp.asarray(latents, jnp.float32)
