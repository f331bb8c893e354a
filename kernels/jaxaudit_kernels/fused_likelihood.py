"""The likelihood head in one kernel: from hidden states to statistics of tokens, no logit in memory.

Both kernels walk over the vocabulary in tiles, for a tile of tokens, and keep a `Part` per token and view:

    zᵀ  = Wᵀ[tile] hᵀ + b     [codes, tokens], so that sums over codes run down columns and need no shuffle
    views = z_c, or z_c, z_0 and z_c − z_0;      part ← join(part, summarise(view))

The logit of the token itself, which ranks need from the start, is the diagonal of one more tile, whose codes
are the tokens. It has the shape of every other tile: equal columns of W give equal logits to the last bit.

`mosaic` is for TPUs and `triton` for CUDA devices. They differ in who walks (the grid or a loop) and in who
keeps tiles within their arrays; the maths is that of `jaxaudit_kernels.vocabulary_parts`.

Axes: M tokens, C channels, V vocabulary, R views (1 or 3).
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import einops
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas import triton as pltriton
from jaxtyping import Array, Float, Int

from jaxaudit_kernels.precision import matmul_precision
from jaxaudit_kernels.vocabulary_parts import Part, join, nothing, summarise

_VMEM_BYTES = 12 * 2**20  # of the 16 MiB that a kernel gets unasked
_TRITON_TILE = 64  # tokens, codes and channels: two tiles of sums stay in the registers of 128 threads
_FIELDS = 1 + len(Part._fields)  # of a token: its own logit, and the part


def fits_mosaic(conditions: int, channels: int, dtype: jnp.dtype) -> bool:
    """Whether the tiles of `mosaic` fit the memory of a TPU core: up to some 2,900 channels do."""
    rows = (conditions + 2) * _mosaic_tile(dtype)
    return 2 * rows * channels * dtype.itemsize <= _VMEM_BYTES  # twice: one tile is loaded during another


def mosaic(
    hidden: tuple[Float[Array, "M C"], ...],
    kernel: Float[Array, "C V"],
    bias: Float[Array, " V"],
    tokens: Int[Array, " M"],
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "R M"], Part]:
    """Logits of the tokens, and the `Part` [R, M] that is the vocabulary, of each view. For TPUs.

    Args:
      hidden: what the output layer reads given the label (and given the null label).
      kernel: weights of the output layer, of the dtype of `hidden`; sums run in float32, and float32
        operands are not rounded.
      bias: its bias.
      tokens: 0 .. V-1; the logit of others is NaN.
      interpret: compute with plain JAX operations, on any platform.
    """
    (num_tokens, channels), vocabulary = hidden[0].shape, kernel.shape[1]
    tile, rows = _mosaic_tile(kernel.dtype), _num_views(hidden) * _FIELDS
    of_tokens = pl.BlockSpec((tile, channels), lambda i, j: (i, 0))
    row_of_tokens = pl.BlockSpec((1, tile), lambda i, j: (0, i))
    result = pl.pallas_call(
        functools.partial(_mosaic_kernel, vocabulary=vocabulary),
        grid=(pl.cdiv(num_tokens, tile), pl.cdiv(vocabulary, tile)),
        in_specs=[
            pl.BlockSpec((tile, channels), lambda i, j: (j, 0)),
            pl.BlockSpec((tile, 1), lambda i, j: (j, 0)),
            of_tokens,
            row_of_tokens,
            row_of_tokens,
            *[of_tokens for _ in hidden],
        ],
        out_specs=pl.BlockSpec((rows, tile), lambda i, j: (0, i)),
        out_shape=jax.ShapeDtypeStruct((rows, num_tokens), jnp.float32),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
        interpret=interpret,
        name="likelihood_head",
    )(*_operands(kernel, bias, tokens), *hidden)
    return _split(result)


def triton(
    hidden: tuple[Float[Array, "M C"], ...],
    kernel: Float[Array, "C V"],
    bias: Float[Array, " V"],
    tokens: Int[Array, " M"],
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "R M"], Part]:
    """As `mosaic`. For CUDA devices."""
    num_tokens = len(tokens)
    result = pl.pallas_call(
        _triton_kernel,
        grid=(pl.cdiv(num_tokens, _TRITON_TILE),),
        out_shape=jax.ShapeDtypeStruct((_num_views(hidden) * _FIELDS, num_tokens), jnp.float32),
        compiler_params=pltriton.CompilerParams(num_warps=4, num_stages=3),
        interpret=interpret,
        name="likelihood_head",
    )(*_operands(kernel, bias, tokens), *hidden)
    return _split(result)


def _operands(kernel: Array, bias: Array, tokens: Array) -> tuple[Array, ...]:
    """Wᵀ [V, C], b [V, 1], their rows of the tokens [M, C] and [1, M] (NaN out of range), t [1, M]."""
    rows, bias = kernel.T, bias.astype(jnp.float32)
    own_rows, own_bias = (jnp.take(array, tokens, axis=0, mode="fill") for array in (rows, bias))
    return rows, bias[:, None], own_rows, own_bias[None], tokens.astype(jnp.float32)[None]


def _num_views(hidden: tuple[Array, ...]) -> int:
    return 1 if len(hidden) == 1 else 3


def _views(logits: list[Array]) -> list[Array]:
    return logits if len(logits) == 1 else [*logits, logits[0] - logits[1]]


def _split(result: Array) -> tuple[Array, Part]:
    z_t, *fields = einops.rearrange(result, "(r f) m -> f r m", f=_FIELDS)
    return z_t, Part(*fields)


def _diagonal(tile: Array) -> Array:
    """[n, n] -> [1, n]."""
    codes, tokens = (jax.lax.broadcasted_iota(jnp.int32, tile.shape, axis) for axis in (0, 1))
    return jnp.sum(jnp.where(codes == tokens, tile, 0.0), axis=0, keepdims=True)


def _add_tile(before: Part, z: Array, first: Any, z_t: Array, tokens: Array, vocabulary: int) -> Part:
    """`before` joined by the codes from `first` on, with logits z; the last tile may reach beyond V."""
    codes = (first + jax.lax.broadcasted_iota(jnp.int32, z.shape, 0)).astype(jnp.float32)
    if vocabulary % z.shape[0]:
        z = jnp.where(codes < vocabulary, z, -jnp.inf)
    return join(before, summarise(z, codes, z_t, tokens))


def _mosaic_tile(dtype: jnp.dtype) -> int:
    """Tokens of a tile, and codes: enough of them that loading W is no limit."""
    return 256 if dtype.itemsize == 2 else 128


def _mosaic_kernel(rows, bias, own_rows, own_bias, tokens, *hidden_and_result, vocabulary: int):
    """One tile of tokens and codes. `result`, which stays while the codes go by, is what was seen so far."""
    *hidden, result = hidden_and_result
    step = pl.program_id(1)

    def logits(rows: Array, bias: Array) -> list[Array]:
        product = functools.partial(
            jax.lax.dot_general,
            dimension_numbers=(((1,), (1,)), ((), ())),
            precision=matmul_precision(rows.dtype),
            preferred_element_type=jnp.float32,
        )
        return [product(rows, states[...]) + bias for states in hidden]

    @pl.when(step == 0)
    def begin():
        for view, z in enumerate(_views(logits(own_rows[...], own_bias[...]))):
            for row, value in enumerate([_diagonal(z), *nothing(z.shape[1])], start=view * _FIELDS):
                result[row : row + 1, :] = value

    for view, z in enumerate(_views(logits(rows[...], bias[...]))):
        first = view * _FIELDS
        z_t, *before = (result[row : row + 1, :] for row in range(first, first + _FIELDS))
        part = _add_tile(Part(*before), z, step * z.shape[0], z_t, tokens[...], vocabulary)
        for row, value in enumerate(part, start=first + 1):
            result[row : row + 1, :] = value


def _triton_kernel(rows, bias, own_rows, own_bias, tokens, *hidden_and_result):
    """One tile of tokens, all codes."""
    *hidden, result = hidden_and_result
    (vocabulary, channels), num_tokens, tile = rows.shape, tokens.shape[1], _TRITON_TILE
    here = pl.program_id(0) * tile

    def load(ref, *starts: Any, shape: tuple[int, int] = (tile, tile)) -> Array:
        """`shape` of the array from `starts` on; 0 beyond its ends, where they are not those of a tile."""
        within = [
            start + jax.lax.broadcasted_iota(jnp.int32, shape, axis) < ref.shape[axis]
            for axis, start in enumerate(starts)
            if ref.shape[axis] % shape[axis]
        ]
        mask = functools.reduce(operator.and_, within) if within else None
        part = ref.at[tuple(pl.ds(start, size) for start, size in zip(starts, shape, strict=True))]
        return pltriton.load(part, mask=mask, other=None if mask is None else 0.0)

    def logits(codes, first: Any, bias: Array) -> list[Array]:
        """Of the rows of `codes` from `first` on."""

        def add(step: Array, sums: list[Array]) -> list[Array]:
            left = load(codes, first, step * tile)
            right = [load(states, here, step * tile) for states in hidden]
            product = functools.partial(pltriton.dot, trans_b=True, precision=matmul_precision(left.dtype))
            return [total + product(left, states) for total, states in zip(sums, right, strict=True)]

        zeros = [jnp.zeros((tile, tile), jnp.float32) for _ in hidden]
        return [z + bias for z in jax.lax.fori_loop(0, pl.cdiv(channels, tile), add, zeros)]

    token, own = (load(row, 0, here, shape=(1, tile)) for row in (tokens, own_bias))
    z_t = [_diagonal(z) for z in _views(logits(own_rows, here, own))]

    def add(step: Array, parts: list[Part]) -> list[Part]:
        first = step * tile
        views = _views(logits(rows, first, load(bias, first, 0, shape=(tile, 1))))
        return [
            _add_tile(part, z, first, own, token, vocabulary)
            for part, z, own in zip(parts, views, z_t, strict=True)
        ]

    parts = jax.lax.fori_loop(0, pl.cdiv(vocabulary, tile), add, [nothing(tile) for _ in z_t])
    present = here + jax.lax.broadcasted_iota(jnp.int32, (1, tile), 1) < num_tokens
    for view, (own, part) in enumerate(zip(z_t, parts, strict=True)):
        for row, value in enumerate([own, *part], start=view * _FIELDS):
            pltriton.store(result.at[pl.ds(row, 1), pl.ds(here, tile)], value, mask=present)
