"""Centre crops of pictures, resized back to their size.

A crop that keeps the share λ of height and width shows at the place p of the result what stood at

    (1)  S/2 + λ (p − S/2)

p counted in pixels from the edge, so that pixel i has its centre at i + 1/2; between centres the picture is
linear. Any share is exact, also where λ S is no whole number.

Axes: B pictures, H and W pixels, C channels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def centre_crop(images: Float[Array, "B H W C"], share: float) -> Float[Array, "B H W C"]:
    """(1), float32.

    Args:
      images: pictures.
      share: λ in (0, 1]; 1 gives the pictures back.
    """
    sides = jnp.asarray(images.shape[1:3], jnp.float32)
    scale = jnp.full(2, 1 / share, jnp.float32)
    return jax.image.scale_and_translate(
        images, images.shape, (1, 2), scale, (1 - scale) * sides / 2, method="linear", antialias=False
    )
