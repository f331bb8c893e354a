"""One codebook: features to the nearest codes, and back. Token choices hang on these sums: always float32.

Axes: B batch, L tokens in raster order, h and w feature pixels, C channels of a code, V codes.
"""

from __future__ import annotations

import einops
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxaudit_kernels.chunks import map_chunks

_TOKENS_AT_ONCE = 64  # of a picture


def raster(pixels: Float[Array, "B h w C"]) -> Float[Array, "B h*w C"]:
    """The pixels one after the other, row by row, which is the order of tokens."""
    return einops.rearrange(pixels, "b h w c -> b (h w) c")


def nearest(z: Float[Array, "B L C"], codes: Float[Array, "V C"]) -> Int[Array, "B L"]:
    """argmin_v ‖z - e_v‖², as argmin of ‖e‖² - 2 z·e: ‖z‖² is the same for every code. int32.

    The distances to all codes exist for a few tokens at a time.
    """
    codes = codes.astype(jnp.float32)
    lengths = jnp.square(codes).sum(-1)[None, None]

    def some(z: Array) -> Array:
        products = jnp.einsum("blc,vc->blv", z, codes, precision=jax.lax.Precision.HIGHEST)
        return jnp.argmin(lengths - 2 * products, axis=-1).astype(jnp.int32)

    return map_chunks(some, (z,), axis=1, chunk_size=_TOKENS_AT_ONCE)


def look_up(tokens: Int[Array, "B L"], codes: Float[Array, "V C"], side: int) -> Float[Array, "B h h C"]:
    """The codes of `tokens` as a square map with `side` pixels per side, float32."""
    return einops.rearrange(codes[tokens].astype(jnp.float32), "b (h w) c -> b h w c", h=side, w=side)
