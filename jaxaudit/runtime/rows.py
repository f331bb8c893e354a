"""Working through the rows of a device a few at a time, where that is faster.

On a CPU the activations of one image fit its caches and those of a batch do not: one at a time, VAR-d16 and
its tokenizer take two thirds of the processor time and a fraction of the memory. Accelerators want the whole
batch.

Axes: N rows of a batch, D rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from einops import rearrange


def rows_at_once(platform: str) -> int | None:
    """How many rows `map_rows` should take at a time on a "cpu", "gpu" or "tpu": one, or None (all)."""
    return 1 if platform == "cpu" else None


def map_rows(function: Callable[..., Any], *arrays: jax.Array | np.ndarray, rows: int | None) -> Any:
    """function(*arrays), computed for `rows` of the N rows at a time.

    `function` maps arrays [D,...] to a tree of arrays [D,...] and treats rows independently. All N rows go at
    once if `rows` is None or does not divide N.
    """
    total = arrays[0].shape[0]
    if rows is None or total % rows or total == rows:
        return function(*arrays)

    groups = tuple(rearrange(array, "(n d) ... -> n d ...", d=rows) for array in arrays)
    outputs = jax.lax.map(lambda group: function(*group), groups)
    return jax.tree.map(lambda array: rearrange(array, "n d ... -> (n d) ..."), outputs)
