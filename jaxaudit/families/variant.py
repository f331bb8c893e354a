"""A named, released target: everything but the weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxaudit.data.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a family knows about a released target.

    Attributes:
      config: {"generator": ..., "tokenizer": ...}, plain JSON-able dicts.
      preprocessing: how a picture becomes the target's input.
      num_params: learned parameters of each part.
      sources: address of the released file of each part.
      licence: SPDX identifier of the released weights.
    """

    config: Mapping[str, Any]
    preprocessing: Preprocessing
    num_params: Mapping[str, int]
    sources: Mapping[str, str]
    licence: str
