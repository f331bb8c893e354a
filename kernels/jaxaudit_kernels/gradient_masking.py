"""Gradient masking: destroy what the loss of an image depends on most, and see what the model restores.

With the notation of `jaxaudit_kernels.denoising`, for each image alone:

    (1)  g = ∂ ‖ε − f(z_t, t)‖₂ / ∂ z_t
    (2)  M = the int(ratio · hwc) places where |g| is largest
    (3)  ẑ = b + (ε − b) · M                 b is kept outside M, noise ε stands inside
    (4)  ‖((ε − b) − f(ẑ, t)) · M‖₂          has the model noticed what was put in place of b?

b is the noised z_t: that is what the model at t knows how to read. The published code takes the clean z.
Source: Dubiński et al. 2025, "CDI: Copyrighted data identification in diffusion models"; after Fu et al.,
arXiv 2403.08487.

Axes: B images, h and w latent pixels, c channels.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from einops import pack, unpack
from jaxtyping import Array, Bool, Float, Int

from jaxaudit_kernels.denoising import Denoise, norm
from jaxaudit_kernels.process import Denoised, NoiseLevel, add_noise


def denoised_and_gradient(
    denoise: Denoise,
    z_t: Float[Array, "B h w c"],
    index: Int[Array, " B"],
    condition: Any,
    noise: Float[Array, "B h w c"],
) -> tuple[Denoised, Float[Array, "B h w c"]]:
    """What `denoise` sees in z_t, and g of (1)."""

    def total_error(z_t: Array) -> tuple[Array, Denoised]:
        seen = denoise(z_t, index, condition)
        # Images do not meet in the network, so the gradient of the sum is that of each one's own error.
        return jnp.sum(norm(noise - seen.eps)), seen

    gradient, seen = jax.grad(total_error, has_aux=True)(z_t)
    return seen, gradient


def largest_places(gradient: Float[Array, " B *shape"], *, ratio: float = 0.2) -> Bool[Array, " B *shape"]:
    """M of (2): exactly int(ratio · size) places of each image; of equal ones the first."""
    flat, shape = pack([jnp.abs(gradient)], "b *")
    _, places = jax.lax.top_k(flat, int(ratio * flat.shape[1]))
    mask = jnp.zeros(flat.shape, bool).at[jnp.arange(len(flat))[:, None], places].set(True)
    return unpack(mask, shape, "b *")[0]


def destroy(
    kept: Float[Array, "B h w c"], noise: Float[Array, "B h w c"], mask: Bool[Array, "B h w c"]
) -> Float[Array, "B h w c"]:
    """ẑ of (3)."""
    return jnp.where(mask, noise, kept)


def masked_error(
    eps: Float[Array, "B h w c"],
    kept: Float[Array, "B h w c"],
    noise: Float[Array, "B h w c"],
    mask: Bool[Array, "B h w c"],
) -> Float[Array, " B"]:
    """(4) for f(ẑ, t) = `eps`."""
    return norm(jnp.where(mask, noise - kept - eps, 0.0))


def gradient_masking(
    denoise: Denoise,
    latents: Float[Array, "B h w c"],
    level: NoiseLevel,
    condition: Any,
    noise: Float[Array, "B h w c"],
    *,
    ratio: float = 0.2,
    keep_clean: bool = False,
) -> Float[Array, " B"]:
    """(4), float32; lower for members.

    Args:
      denoise: the model, see `jaxaudit_kernels.denoising`.
      latents: z.
      level: of t, [B].
      condition: what the model is given.
      noise: ε.
      ratio: share of the places that are destroyed.
      keep_clean: keep z instead of z_t, as the published code does.
    """
    z_t = add_noise(latents, level, noise)
    _, gradient = denoised_and_gradient(denoise, z_t, level.index, condition, noise)
    mask, kept = largest_places(gradient, ratio=ratio), latents if keep_clean else z_t
    seen = denoise(destroy(kept, noise, mask), level.index, condition)
    return masked_error(seen.eps, kept, noise, mask)
