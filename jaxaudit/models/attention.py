"""The one attention of all networks, and the one place where a backend computes it.

    attention(q, k, v) = softmax(s q kᵀ + b) v  over the keys that a query may see                         (1)

By default s = 1 / √d and b = 0. `attention` takes any mask and is what XLA makes of (1). Where it is known
beforehand that positions come in blocks and see their own block and all before it, as they do in every pass
over whole images (one block: all see all; blocks of one: causal), `block_causal_attention` computes nothing
that is hidden, and a fused kernel can: see `jaxaudit.models.attention_backend`.
Operands have the dtype of q, k and v; logits, softmax and result are float32. (cuDNN rounds its result to the
dtype of the operands first.)
Networks that keep keys and values of earlier positions have the heads first ("b h l d"), so that one head's
positions lie together; the others leave the heads where the projection puts them ("b l h d").

Source of (1): Vaswani et al., "Attention is all you need", NeurIPS 2017, eq. (1).

Axes: B batch, H heads, Q queries, K keys, L positions, d head width, C = H d width,
P = 3 C a packed projection.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Literal

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float, Int

from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.models.layers import Dense, affine_norm
from jaxaudit_kernels.fused_attention import fused_attention
from jaxaudit_kernels.partitioning import left_to_compiler
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
    bias: Float[Array, "#B #H #Q #K"] | None = None,
    scale: float | None = None,
) -> Float[Array, "B _ _ d"]:
    """(1), float32, in the layout of q.

    Args:
      q, k, v: queries, keys and values of one dtype.
      layout: where their heads and positions are.
      visible: the keys that each query may see, at least one; None: all.
      bias: b.
      scale: s.
    """
    queries, keys = layout.replace("l", "q"), layout.replace("l", "k")
    product = functools.partial(
        jnp.einsum, precision=matmul_precision(q.dtype), preferred_element_type=jnp.float32
    )
    logits = product(f"{queries}, {keys} -> b h q k", q, k)
    logits = logits * (q.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        logits = logits + bias
    if visible is not None:
        logits = jnp.where(visible, logits, -jnp.inf)
    weights = nn.softmax(logits, axis=-1).astype(v.dtype)
    return product(f"b h q k, {keys} -> {queries}", weights, v)


def causal(queries: int, keys: int, *, first: ArrayLike = 0) -> Bool[Array, "1 1 {queries} {keys}"]:
    """`visible` for queries at positions first, first + 1, …: each sees the keys up to its own position."""
    positions = first + jnp.arange(queries)
    return (jnp.arange(keys)[None] <= positions[:, None])[None, None]


def block_causal_attention(
    q: Float[Array, "B _ _ d"],
    k: Float[Array, "B _ _ d"],
    v: Float[Array, "B _ _ d"],
    blocks: tuple[int, ...],
    *,
    layout: Layout,
    scale: float | None = None,
    group_size: int = 128,
    backend: AttentionBackend = "xla",
) -> Float[Array, "B _ _ d"]:
    """(1) for positions in consecutive blocks, where a query sees its own block and all before it; float32.

    Every group of blocks meets only the keys it may see, so nothing is computed to be masked away, except
    inside a group of several blocks: blocks are merged up to `group_size` queries, because tiny products are
    slow.

    Args:
      q, k, v: queries, keys and values of one dtype; k and v hold K - Q earlier positions before those of q.
      blocks: the lengths of the blocks in q, static; their sum is Q.
      layout: where their heads and positions are.
      scale: s.
      group_size: static; any value gives the same result.
      backend: what computes a group, XLA where the compiler splits parameters over devices; `choose_backend`
        knows what can be used.
    """
    axis = layout.split().index("l")
    past = k.shape[axis] - q.shape[axis]
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    group = _GROUP["xla" if left_to_compiler() else backend]
    outputs = [
        group(jax.lax.slice_in_dim(q, begin, end, axis=axis), k, v, seen, layout, scale)
        for begin, end, seen in _groups(blocks, past, group_size)
    ]
    return outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=axis)


def _groups(
    blocks: tuple[int, ...], past: int, group_size: int
) -> Iterator[tuple[int, int, Int[np.ndarray, " Q"]]]:
    """(first query, first query of the next group, how many keys each query sees) of every group."""
    ends, first = np.cumsum(blocks), 0
    while first < len(blocks):
        begin = int(ends[first]) - blocks[first]
        stop = max(first + 1, int(np.searchsorted(ends, begin + group_size, side="right")))
        yield begin, int(ends[stop - 1]), past + np.repeat(ends[first:stop], blocks[first:stop])
        first = stop


def _by_xla(q: Array, k: Array, v: Array, seen: np.ndarray, layout: Layout, scale: float) -> Array:
    """A group of queries that see the first keys, `seen` of them."""
    most = int(seen[-1])
    k, v = (jax.lax.slice_in_dim(x, 0, most, axis=layout.split().index("l")) for x in (k, v))
    visible = None
    if seen[0] < most:
        visible = jnp.asarray(np.arange(most) < seen[:, None])[None, None]
    return attention(q, k, v, layout=layout, visible=visible, scale=scale)


def _by_cudnn(q: Array, k: Array, v: Array, seen: np.ndarray, layout: Layout, scale: float) -> Array:
    """cuDNN knows groups of one block and causal ones from the first key on; XLA computes the others."""
    causal, most = np.array_equal(seen, 1 + np.arange(len(seen))), int(seen[-1])
    if seen[0] < most and not causal:
        return _by_xla(q, k, v, seen, layout, scale)
    q, k, v = (einops.rearrange(x, f"{layout} -> b l h d") for x in (q, k, v))
    out = jax.nn.dot_product_attention(
        q, k[:, :most], v[:, :most], scale=scale, is_causal=causal, implementation="cudnn"
    )
    return einops.rearrange(out.astype(jnp.float32), f"b l h d -> {layout}")


def _by_pallas(q: Array, k: Array, v: Array, seen: np.ndarray, layout: Layout, scale: float) -> Array:
    """The gradient is that of XLA."""

    @jax.custom_vjp
    def group(q: Array, k: Array, v: Array) -> Array:
        heads = q.shape[layout.split().index("h")]
        q, k, v = (einops.rearrange(x, f"{layout} -> (b h) l d") for x in (q, k, v))
        out = fused_attention(q, k, v, seen, scale=scale)
        return einops.rearrange(out, f"(b h) l d -> {layout}", h=heads)

    def forward(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        return group(q, k, v), (q, k, v)

    def backward(saved: tuple[Array, Array, Array], gradient: Array) -> tuple[Array, ...]:
        _, pull_back = jax.vjp(lambda q, k, v: _by_xla(q, k, v, seen, layout, scale), *saved)
        return pull_back(gradient)

    group.defvjp(forward, backward)
    return group(q, k, v)


_GROUP: dict[AttentionBackend, Callable[..., Float[Array, "B _ _ d"]]] = {
    "xla": _by_xla,
    "cudnn": _by_cudnn,
    "pallas": _by_pallas,
}


def causal_attention(
    q: Float[Array, "B H L d"],
    k: Float[Array, "B H L d"],
    v: Float[Array, "B H L d"],
    cache: KeysValues | None,
    first: ArrayLike,
    *,
    backend: AttentionBackend = "xla",
) -> tuple[Float[Array, "B H L d"], KeysValues]:
    """(1) for positions that see themselves and all before, float32, and the keys and values so far.

    Args:
      q, k, v: queries, keys and values of one dtype, of positions first, first + 1, ….
      cache: keys and values of the positions before, with room for these, which keeps its size; None: there
        are none before.
      first: 0 without a cache.
      backend: what computes whole sequences; beside a cache XLA does.
    """
    length = q.shape[2]
    if cache is None:
        out = block_causal_attention(
            q, k, v, (1,) * length, layout="b h l d", group_size=length, backend=backend
        )
        return out, (k, v)
    k, v = (
        jax.lax.dynamic_update_slice_in_dim(old, new, first, axis=2)
        for old, new in zip(cache, (k, v), strict=True)
    )
    return attention(q, k, v, layout="b h l d", visible=causal(length, k.shape[2], first=first)), (k, v)


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
      backend: what computes attention where neither mask nor bias is given.
      qk_norm: whether each head's queries and keys are normalised, with a learned scale and bias.
    """

    num_heads: int
    qkv_bias: bool
    dtype: DTypeLike
    kernel_init: Initializer
    backend: AttentionBackend = "xla"
    qk_norm: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B L C"],
        visible: Bool[Array, "#B #H #L #L"] | None = None,
        bias: Float[Array, "#B #H #L #L"] | None = None,
    ) -> Float[Array, "B L C"]:
        """The heads' outputs, mixed by a linear map, float32; `visible` and `bias` as for `attention`."""
        width = x.shape[-1]
        qkv = Dense(
            3 * width, use_bias=self.qkv_bias, dtype=self.dtype, kernel_init=self.kernel_init, name="qkv"
        )(x)
        q, k, v = split_heads(qkv, self.num_heads, "b l h d")
        if self.qk_norm:
            q, k = affine_norm(name="q_norm")(q), affine_norm(name="k_norm")(k)
        q, k, v = (part.astype(self.dtype) for part in (q, k, v))
        if visible is None and bias is None:
            out = block_causal_attention(q, k, v, q.shape[1:2], layout="b l h d", backend=self.backend)
        else:
            out = attention(q, k, v, layout="b l h d", visible=visible, bias=bias)
        return Dense(width, dtype=self.dtype, kernel_init=self.kernel_init, name="proj")(
            merge_heads(out, "b l h d")
        )
