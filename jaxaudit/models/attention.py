"""The one attention of all networks, and the one place where a backend for it is chosen.

    attention(q, k, v) = softmax(s q kᵀ) v  over the keys that a query may see;  s = 1 / √d by default     (1)

Every product of queries and keys of this package is made by `attention`; a fused kernel belongs into it and
into `block_causal_attention`, the special case that need not compute what its mask hides.
Operands have the dtype of q, k and v; logits, softmax and result are float32.
Networks that keep keys and values of earlier positions have the heads first ("b h l d"), so that one head's
positions lie together; the others leave the heads where the projection puts them ("b l h d").

Source of (1): Vaswani et al., "Attention is all you need", NeurIPS 2017, eq. (1).

Axes: B batch, H heads, Q queries, K keys, L positions, d head width, C = H d width,
P = 3 C a packed projection.
"""

from __future__ import annotations

import functools
from typing import Literal

import einops
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float

from jaxaudit.models.layers import Dense
from jaxaudit_kernels.precision import matmul_precision

KeysValues = tuple[Float[Array, "B H _ d"], Float[Array, "B H _ d"]]
"""Keys and values of one block at all positions so far."""

Cache = tuple[KeysValues, ...]
"""Those of every block."""

Layout = Literal["b h l d", "b l h d"]
"""The order of batch, heads, positions and head width."""


def attention(
    q: Float[Array, "B _ _ d"],
    k: Float[Array, "B _ _ d"],
    v: Float[Array, "B _ _ d"],
    *,
    layout: Layout,
    visible: Bool[Array, "#B #H #Q #K"] | None = None,
    scale: float | None = None,
) -> Float[Array, "B _ _ d"]:
    """(1), float32, in the layout of q.

    Args:
      q, k, v: queries, keys and values of one dtype.
      layout: where their heads and positions are.
      visible: the keys that each query may see, at least one; None: all.
      scale: s.
    """
    queries, keys = layout.replace("l", "q"), layout.replace("l", "k")
    product = functools.partial(
        jnp.einsum, precision=matmul_precision(q.dtype), preferred_element_type=jnp.float32
    )
    logits = product(f"{queries}, {keys} -> b h q k", q, k)
    logits = logits * (q.shape[-1] ** -0.5 if scale is None else scale)
    if visible is not None:
        logits = jnp.where(visible, logits, -jnp.inf)
    weights = nn.softmax(logits, axis=-1).astype(v.dtype)
    return product(f"b h q k, {keys} -> {queries}", weights, v)


def causal(queries: int, keys: int, *, first: ArrayLike = 0) -> Bool[Array, "1 1 {queries} {keys}"]:
    """`visible` for queries at positions first, first + 1, …: each sees the keys up to its own position."""
    positions = first + jnp.arange(queries)
    return (jnp.arange(keys)[None] <= positions[:, None])[None, None]


def block_causal_attention(
    q: Float[Array, "B H Q d"],
    k: Float[Array, "B H K d"],
    v: Float[Array, "B H K d"],
    blocks: tuple[int, ...],
    *,
    scale: float | None = None,
    group_size: int = 128,
) -> Float[Array, "B H Q d"]:
    """(1) for positions in consecutive blocks, where a query sees its own block and all before it; float32.

    Every group of blocks meets only the keys it may see, so nothing is computed to be masked away, except
    inside a group of several blocks: blocks are merged up to `group_size` queries, because tiny products are
    slow.

    Args:
      q, k, v: queries, keys and values of one dtype; k and v hold K - Q earlier positions before those of q.
      blocks: the lengths of the blocks in q, static; their sum is Q.
      scale: s.
      group_size: static; any value gives the same result.
    """
    past, ends = k.shape[2] - q.shape[2], np.cumsum(blocks)
    outputs, first = [], 0
    while first < len(blocks):
        begin = ends[first] - blocks[first]
        stop = max(first + 1, int(np.searchsorted(ends, begin + group_size, side="right")))
        end = ends[stop - 1]
        visible = None
        if stop > first + 1:
            last_seen = past + np.repeat(ends[first:stop], blocks[first:stop])
            visible = jnp.asarray(np.arange(past + end) < last_seen[:, None])[None, None]
        seen = slice(past + end)
        outputs.append(
            attention(
                q[:, :, begin:end],
                k[:, :, seen],
                v[:, :, seen],
                layout="b h l d",
                visible=visible,
                scale=scale,
            )
        )
        first = stop
    return jnp.concatenate(outputs, axis=2)


def split_heads(
    qkv: Float[Array, "B L P"], num_heads: int, layout: Layout
) -> tuple[Float[Array, "B _ _ d"], Float[Array, "B _ _ d"], Float[Array, "B _ _ d"]]:
    """q, k and v from their packed projection, which holds q, k and v, each head by head."""
    q, k, v = jnp.unstack(einops.rearrange(qkv, f"b l (qkv h d) -> qkv {layout}", qkv=3, h=num_heads))
    return q, k, v


def merge_heads(x: Float[Array, "B _ _ d"], layout: Layout) -> Float[Array, "B L C"]:
    """The heads' results side by side."""
    return einops.rearrange(x, f"{layout} -> b l (h d)")


class SelfAttention(nn.Module):
    """Attention of all positions to all, from one packed projection and through another linear map.

    Attributes:
      num_heads: H, a divisor of C.
      qkv_bias: whether the packed projection has a bias.
      dtype: compute dtype.
      kernel_init: initialiser of both maps.
    """

    num_heads: int
    qkv_bias: bool
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(
        self, x: Float[Array, "B L C"], visible: Bool[Array, "#B #H #L #L"] | None = None
    ) -> Float[Array, "B L C"]:
        """The heads' outputs, mixed by a linear map, float32; `visible` as for `attention`."""
        width = x.shape[-1]
        qkv = Dense(
            3 * width, use_bias=self.qkv_bias, dtype=self.dtype, kernel_init=self.kernel_init, name="qkv"
        )(x)
        q, k, v = split_heads(qkv.astype(self.dtype), self.num_heads, "b l h d")
        out = merge_heads(attention(q, k, v, layout="b l h d", visible=visible), "b l h d")
        return Dense(width, dtype=self.dtype, kernel_init=self.kernel_init, name="proj")(out)
