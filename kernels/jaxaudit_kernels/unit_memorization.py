"""Which hidden units of a network answer to one training image alone.

With h_u(x, n) the value of unit u after its activation function at token n of image x, and views x' of x
(augmentations), a unit's mean activation on an image, its largest, and that on all other images are

    (1)  μ_u(x)     = mean over views x' of x, mean over tokens n of x', of |h_u(x', n)|
    (2)  μ_max(u)   = max_x μ_u(x),      x*(u) the image that attains it
    (3)  μ_rest(u)  = (Σ_x μ_u(x) − μ_max(u)) / (N − 1)
    (4)  UnitMem(u) = (μ_max(u) − μ_rest(u)) / (μ_max(u) + μ_rest(u))

UnitMem is in [0, 1]: 0 if all images activate the unit alike, 1 if one alone does. With class means in
place of images, (2) to (4) are ClassMem. Source: Wang et al., "Localizing memorization in SSL vision
encoders", NeurIPS 2024 (arXiv 2409.19069), §4; |·| and (1) per scale of a VAR: Kasliwal et al., arXiv
2509.00488.

(4) is a ratio: for a unit that hardly fires at all it is that of rounding errors, and as high as any. With a
floor φ_u, below which an activation is none to speak of,

    (5)  floored UnitMem(u) = (μ_max(u) − μ_rest(u)) / max(μ_max(u) + μ_rest(u), φ_u)

which is (4) where μ_max + μ_rest ≥ φ_u, and which errors δ of the activations move by 2 δ / φ_u at most.

(2) to (5) need a running maximum, its argument and a running sum per unit, whatever the number of images:
`UnitStatistics`, kept on the host in NumPy so that the sum can be float64. The second largest value is there
to tell whether x*(u) alone attains the largest.

Axes: B images, L tokens, S stages (groups of tokens), F units of a layer, N images; *units any axes of units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def stage_means(hidden: Float[Array, "B L F"], lengths: Sequence[int]) -> Float[Array, "B S F"]:
    """(1) for one view: mean |hidden| over successive groups of `lengths` tokens; [B,S,F] float32.

    Raises:
      ValueError: if the lengths do not sum to L.
    """
    if sum(lengths) != hidden.shape[1]:
        raise ValueError(f"Stages of {tuple(lengths)} tokens do not add up to {hidden.shape[1]}.")
    ends = np.cumsum(lengths)
    return jnp.stack(
        [
            jnp.mean(jnp.abs(hidden[:, end - length : end].astype(jnp.float32)), axis=1)
            for end, length in zip(ends, lengths, strict=True)
        ],
        axis=1,
    )


class UnitStatistics(NamedTuple):
    """What of N items (images, or classes) is kept per unit; its size does not depend on N.

    Attributes:
      count: N.
      maximum: largest value, [*units] float32; 0 without items.
      second: second largest value, that of another item, [*units] float32; 0 without two items.
      argument: number of the item that attains it, [*units] int32, the lowest among ties; -1 without items.
      total: sum of the values, [*units] float64.
    """

    count: int
    maximum: Float[np.ndarray, " *units"]
    second: Float[np.ndarray, " *units"]
    argument: Int[np.ndarray, " *units"]
    total: Float[np.ndarray, " *units"]

    @property
    def mean(self) -> Float[np.ndarray, " *units"]:
        """Mean value over the items, [*units] float64; NaN without items."""
        with np.errstate(invalid="ignore"):
            return self.total / np.float64(self.count)


def no_items(shape: Sequence[int]) -> UnitStatistics:
    """The statistics before the first item, for units of that shape."""
    shape = tuple(shape)
    nothing = np.zeros(shape, np.float32)
    return UnitStatistics(0, nothing, nothing, np.full(shape, -1, np.int32), np.zeros(shape))


def observe(
    statistics: UnitStatistics, values: Float[np.ndarray, " B *units"], items: Int[np.ndarray, " B"]
) -> UnitStatistics:
    """The statistics after B more items, whose numbers are `items` and whose values are not negative.

    The order in which items come changes nothing but the rounding of the float64 sum.

    Raises:
      ValueError: if the shapes do not fit, or a value is negative or not a number.
    """
    values = np.asarray(values)
    if values.shape != (len(items), *statistics.total.shape):
        raise ValueError(
            f"Values of shape {values.shape} do not fit {len(items)} items of units {statistics.total.shape}."
        )
    if not len(items):
        return statistics
    if not np.min(values) >= 0:
        raise ValueError("A mean activation is negative or not a number.")
    order = np.argsort(items)  # so that the first of equal values is that of the lowest item
    values, items = values[order], np.asarray(items, np.int32)[order]
    highest = np.argmax(values, axis=0)
    others = values.copy()
    np.put_along_axis(others, highest[None], 0, axis=0)
    batch = UnitStatistics(
        len(items), values.max(0), others.max(0), items[highest], values.sum(0, dtype=np.float64)
    )
    return merge(statistics, batch)


def merge(first: UnitStatistics, second: UnitStatistics) -> UnitStatistics:
    """The statistics of both sets of items together.

    Raises:
      ValueError: if the units differ in shape.
    """
    if first.total.shape != second.total.shape:
        raise ValueError(f"Units {first.total.shape} and {second.total.shape} are not the same.")
    a, b = first, second
    takes = (b.maximum > a.maximum) | ((b.maximum == a.maximum) & (b.argument < a.argument))
    takes = (takes | (a.argument < 0)) & (b.argument >= 0)
    return UnitStatistics(
        a.count + b.count,
        np.where(takes, b.maximum, a.maximum).astype(np.float32),
        np.maximum(np.minimum(a.maximum, b.maximum), np.maximum(a.second, b.second)).astype(np.float32),
        np.where(takes, b.argument, a.argument).astype(np.int32),
        a.total + b.total,
    )


def rest_mean(statistics: UnitStatistics) -> Float[np.ndarray, " *units"]:
    """(3): mean over the items other than the one with the largest value, [*units] float64.

    Raises:
      ValueError: if there are fewer than two items.
    """
    if statistics.count < 2:
        raise ValueError(f"{statistics.count} items leave none beside the one with the largest value.")
    return np.maximum(statistics.total - statistics.maximum, 0) / (statistics.count - 1)


def selectivity(
    statistics: UnitStatistics, *, floor: Float[np.ndarray, " *units"] | float = 0.0
) -> Float[np.ndarray, " *units"]:
    """(4), or (5) with a floor: UnitMem of images, ClassMem of classes; 0 for units that no item activates.

    Args:
      statistics: of two items or more.
      floor: φ, of every unit or of all, not negative.

    Returns:
      [*units] float32, in [0, 1].

    Raises:
      ValueError: if there are fewer than two items.
    """
    rest, largest = rest_mean(statistics), statistics.maximum.astype(np.float64)
    both = np.maximum(largest + rest, floor)
    return np.divide(largest - rest, both, out=np.zeros_like(both), where=both > 0).astype(np.float32)
