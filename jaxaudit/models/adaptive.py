"""What transformers share whose norms and gates follow from a condition (adaLN-Zero).

With c the embedding of what the network is told (a time and a label), in every block

    β₁, σ₁, γ₁, β₂, σ₂, γ₂ = linear(silu(c))                                                          (1)
    x ← x + γ₁ · attention(norm(x) (1 + σ₁) + β₁)                                                     (2)
    x ← x + γ₂ · mlp(norm(x) (1 + σ₂) + β₂)                                                           (3)

and at the end

    out = linear(norm(x) (1 + σ) + β),   β, σ = linear(silu(c)),   patch by patch                     (4)

Source: Peebles & Xie, "Scalable diffusion models with transformers", ICCV 2023 (arXiv 2212.09748), §3.2.

Axes: B batch, L tokens, C width, F numbers of a patch.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.models.layers import Dense, layer_norm

_ZEROS = nn.initializers.zeros

XAVIER = nn.initializers.xavier_uniform()
"""Initialises the linear maps of the blocks."""

Part = Callable[[Float[Array, "B L C"]], Float[Array, "B L C"]]
"""What a block adds to the residual stream."""


def adaptive_block(
    x: Float[Array, "B L C"], condition: Float[Array, "B C"], attention: Part, mlp: Part, *, dtype: DTypeLike
) -> Float[Array, "B L C"]:
    """(1) to (3), float32, for a compact method, whose module gets the map of (1) as `adaLN_modulation_1`.

    Args:
      x: the residual stream.
      condition: silu(c).
      attention, mlp: what is added to it.
      dtype: compute dtype of (1).
    """
    shift1, scale1, gate1, shift2, scale2, gate2 = _modulation(condition, 6, dtype)
    x = x + gate1 * attention(layer_norm(x) * (1 + scale1) + shift1)
    return x + gate2 * mlp(layer_norm(x) * (1 + scale2) + shift2)


def _modulation(condition: Float[Array, "B C"], parts: int, dtype: DTypeLike) -> list[Float[Array, "B 1 C"]]:
    """Shifts, scales and gates, all zero in a new network."""
    features = parts * condition.shape[-1]
    modulation = Dense(features, dtype=dtype, kernel_init=_ZEROS, name="adaLN_modulation_1")(condition)
    return jnp.split(modulation[:, None], parts, axis=-1)


class FinalLayer(nn.Module):
    """(4).

    Attributes:
      features: F.
      dtype: compute dtype.
    """

    features: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"], condition: Float[Array, "B C"]) -> Float[Array, "B L F"]:
        """The numbers of every patch, float32; `condition` is silu(c)."""
        shift, scale = _modulation(condition, 2, self.dtype)
        linear = Dense(self.features, dtype=self.dtype, kernel_init=_ZEROS, name="linear")
        return linear(layer_norm(x) * (1 + scale) + shift)


class LabelEmbedding(nn.Module):
    """A row for every label.

    Attributes:
      rows: labels, the null label included.
      width: C.
    """

    rows: int
    width: int

    def setup(self):
        """The table, named after the released keys."""
        normal = nn.initializers.normal(0.02)
        self.embedding_table = nn.Embed(self.rows, self.width, dtype=jnp.float32, embedding_init=normal)

    def __call__(self, labels: Int[Array, " B"]) -> Float[Array, "B C"]:
        """The rows of these labels, float32."""
        return self.embedding_table(labels)


def position_table(width: int, side: int) -> Float[np.ndarray, "L C"]:
    """What the positions are initialised with, float32: sines and cosines of column, then of row.

    Either half has the sines, then the cosines, at the frequencies 10⁴^(−i / (C/4)).
    """
    frequencies = 10_000.0 ** -(np.arange(width // 4) / (width / 4))
    row, column = np.divmod(np.arange(side * side), side)
    angles = [place[:, None] * frequencies for place in (column, row)]
    return np.concatenate([f(a) for a in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)


def flattened(init: nn.initializers.Initializer) -> nn.initializers.Initializer:
    """`init` of a kernel [...,C] as that of the matrix [-1,C]."""
    return lambda key, shape, dtype=jnp.float32: init(key, (np.prod(shape[:-1]), shape[-1]), dtype).reshape(
        shape
    )
