"""How far a decoder moves the picture when one coordinate of the latents moves.

With J the Jacobian of the decoder D at the latents z of an image,

    (1)  c_k = ½ log (JᵀJ)_kk
    (2)  (JᵀJ)_kk = E[(Jᵀ v)_k²],    v standard Gaussian in pixels

(2) takes one backward pass through the decoder per v. The logarithm changes no order of the coordinates, and
is left to who needs it.

Source: Rao et al. 2026 (arXiv 2511.20592): the diagonal of the pullback metric.

Axes: B images, h and w latent pixels, c channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def sensitivity(
    decode: Callable[[Array], Array],
    latents: Float[Array, "B h w c"],
    probe: Callable[[Int[Array, ""]], Float[Array, "B H W 3"]],
    *,
    num_probes: int,
) -> Float[Array, "B h w c"]:
    """The mean of (2) over probes, float32.

    Args:
      decode: latents -> images [B,H,W,3], differentiable, image by image alone.
      latents: z.
      probe: number -> v.
      num_probes: how many; the error of a coordinate falls as √(2 / num_probes) or faster.
    """
    _, pull = jax.vjp(decode, latents)

    def add(total: Array, number: Array) -> tuple[Array, None]:
        return total + jnp.square(pull(probe(number))[0]), None

    return jax.lax.scan(add, jnp.zeros_like(latents), jnp.arange(num_probes))[0] / num_probes
