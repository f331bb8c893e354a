"""What is to be said of a class of network, so that a component of that class can be converted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import Table
from checkpoints_convert.records import StateDict


def _unchanged(state: StateDict, config: Mapping[str, Any] | None = None) -> StateDict:
    """The weights as they are."""
    del config
    return state


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A class of network.

    Attributes:
      title: what people call it.
      config: (settings, configs of the parts before) -> the config of the part, as `jaxaudit.families` has
        it. The parts are "text_encoder", "generator" and "tokenizer", in that order.
      table: config -> the rows of `checkpoints_convert.mapping` for what `prepare` makes of the weights.
      named: weights -> the same under the names that LoRA files know.
      prepare: (weights, config) -> tensors that are one parameter each.
    """

    title: str
    config: Callable[[Settings, Mapping[str, Any]], dict[str, Any]]
    table: Callable[[Mapping[str, Any]], Table]
    named: Callable[[StateDict], StateDict] = _unchanged
    prepare: Callable[[StateDict, Mapping[str, Any]], StateDict] = _unchanged


@dataclasses.dataclass(frozen=True, kw_only=True)
class Denoiser(Network):
    """A class of network that is a target's generator.

    Attributes:
      family: of the target.
      process: that its family takes for granted.
    """

    family: str
    process: Mapping[str, Any]
