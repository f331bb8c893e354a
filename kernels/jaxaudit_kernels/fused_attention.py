"""Attention whose logits never leave the chip: one Pallas kernel for TPUs.

    o_i = Σ_j p_ij v_j,   p_i = softmax_j(s q_i · k_j)   over the keys j < seen_i                          (1)

A program of the kernel holds all keys and values of a few heads and some of their queries, so it needs no
running maximum: it is (1) as it is written. Nothing is padded in memory; lengths and head widths are free.

Axes: N heads of all images, Q queries, K keys, d head width.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jaxtyping import Array, Float, Int

from jaxaudit_kernels.precision import matmul_precision

_LOGITS = 2**19
"""Logits that a program holds at most, 2 MiB: they, their exponentials and their weights fit a TPU's VMEM."""

_ROWS = 16
"""Rows of a tile of bfloat16; blocks of rows are multiples of it, or whole."""


def fused_attention(
    q: Float[Array, "N Q d"],
    k: Float[Array, "N K d"],
    v: Float[Array, "N K d"],
    seen: Int[np.ndarray, " Q"],
    *,
    scale: float,
    interpret: bool = False,
) -> Float[Array, "N Q d"]:
    """(1), float32. No gradient is defined.

    Args:
      q, k, v: queries, keys and values of one dtype, bfloat16 or float32.
      seen: how many of the first keys each query sees, at least one; static. Keys that no query sees are
        not read, but for the rest of a tile.
      scale: s.
      interpret: run as plain JAX, anywhere, instead of on a TPU.
    """
    heads, queries, width = q.shape
    keys = min(k.shape[1], _ROWS * pl.cdiv(int(seen.max()), _ROWS))
    rows = min(queries, max(_ROWS, _LOGITS // keys // _ROWS * _ROWS))
    together = _divisor(heads, _LOGITS // (rows * keys))
    operands = [q, k, v]
    some_queries = pl.BlockSpec((together, rows, width), lambda n, i: (n, i, 0))
    all_keys = pl.BlockSpec((together, keys, width), lambda n, i: (n, 0, 0))
    blocks = [some_queries, all_keys, all_keys]
    if seen.min() < keys:
        operands.append(jnp.asarray(seen, jnp.int32)[:, None])
        blocks.append(pl.BlockSpec((rows, 1), lambda n, i: (i, 0)))
    return pl.pallas_call(
        functools.partial(_kernel, scale=scale),
        out_shape=jax.ShapeDtypeStruct(q.shape, jnp.float32),
        grid=(heads // together, pl.cdiv(queries, rows)),
        in_specs=blocks,
        out_specs=some_queries,
        interpret=interpret,
        name="fused_attention",
    )(*operands)


def _kernel(*refs: jax.Ref, scale: float) -> None:
    """(1) for the queries of one program."""
    *operands, out = refs
    q, k, v, *seen = (ref[...] for ref in operands)
    product = functools.partial(
        jnp.einsum, precision=matmul_precision(q.dtype), preferred_element_type=jnp.float32
    )
    logits = product("nqd,nkd->nqk", q, k) * scale
    for limit in seen:  # there or not
        key = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2)
        logits = jnp.where(key < limit[None], logits, -jnp.inf)
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    weights = weights / jnp.sum(weights, axis=-1, keepdims=True)
    out[...] = product("nqk,nkd->nqd", weights.astype(v.dtype), v)


def _divisor(number: int, at_most: int) -> int:
    """The largest divisor of a number that is at most `at_most`, but at least 1."""
    return max(n for n in range(1, max(1, at_most) + 1) if number % n == 0)
