"""What a family has to say about its PyTorch checkpoints; one file per family says it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from checkpoints_convert.mapping import Table
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError

StateDict = Mapping[str, Any]
"""{PyTorch key: array, or `jax.ShapeDtypeStruct` where only shapes are known}."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One file: the generator or tokenizer of a target, or the weights of a feature extractor.

    Attributes:
      title: what people call it, as in "VAR generator".
      landmarks: keys that every such state dict has, and together no other part.
      nestings: where files keep the state dict, tried in order ("/" between levels, "" for the file itself).
      table: the rows of `checkpoints_convert.mapping`.
      depending: further rows of the table, where they depend on the state dict.
      raw: where files keep the raw weights of a training run whose moving average is wanted; a file with
        these alone is refused.
    """

    title: str
    landmarks: tuple[str, ...]
    nestings: tuple[str, ...]
    table: Table
    depending: Callable[[StateDict], Table] = lambda state: ()
    raw: str | None = None

    def rows(self, state: StateDict) -> Table:
        """The table for this state dict."""
        return (*self.table, *self.depending(state))


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How the checkpoints of one family become a target.

    Attributes:
      parts: {"generator": ..., "tokenizer": ...}.
      infer_config: state dicts of all parts -> the config dict of `jaxaudit.families`, read from the shapes.
        Raises InputError where they contradict each other or tell too little.
      asks_heads: whether the shapes keep no trace of the attention heads; `infer_config` then also takes
        `num_heads`.
      asks_size: whether they keep no trace of the size of the pictures either; it then also takes
        `image_size`.
      preprocessing: config -> how a picture becomes the target's input.
    """

    parts: Mapping[str, Part]
    infer_config: Callable[..., dict[str, Any]]
    preprocessing: Callable[[Mapping[str, Any]], Preprocessing]
    asks_heads: bool = False
    asks_size: bool = False


def count(state: StateDict, name: str) -> int:
    """Length of the list `name` of a state dict: one more than the largest N of its keys `name.N.`."""
    entry = re.compile(re.escape(name) + r"\.(\d+)\.")
    return 1 + max((int(match[1]) for key in state if (match := entry.match(key))), default=-1)


def shape(state: StateDict, key: str, num_axes: int) -> tuple[int, ...]:
    """Shape of a tensor that tells a fact of the config.

    Raises:
      InputError: if it is missing or has another number of axes.
    """
    if key not in state:
        raise InputError(f"The checkpoint has no tensor {key}, which tells the shape of the model.")
    if len(state[key].shape) != num_axes:
        raise InputError(f"{key} has shape {tuple(state[key].shape)}; expected {num_axes} axes.")
    return tuple(state[key].shape)
