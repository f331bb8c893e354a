"""What is known about a released model: data, not code."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ModelVariant:
    """A named release of one network.

    Attributes:
      config: the network's frozen config.
      num_params: learned parameters (buffers not counted).
      source: address of the released file.
      licence: SPDX identifier of the released weights.
    """

    config: Any
    num_params: int
    source: str
    licence: str
