"""LFM and Stable Diffusion's autoencoder. The generator's names are those of DiT, each after "module."."""

from collections.abc import Mapping
from typing import Any

from checkpoints_convert.dit import (
    GENERATOR,
    LANDMARKS,
    TOKENIZER,
    network,
    preprocessing,
    with_autoencoder,
)
from checkpoints_convert.heads import with_heads
from checkpoints_convert.records import Conversion, Part, StateDict
from jaxaudit.families.lfm import RELEASED

_TITLE = "LFM generator"
_PREFIX = "module."


def infer_config(states: Mapping[str, StateDict], *, num_heads: int | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.lfm`; arguments and errors are those of `dit.infer_config`."""
    generator = {key.removeprefix(_PREFIX): tensor for key, tensor in states["generator"].items()}
    config = with_heads(network(generator), num_heads, released=RELEASED, title=_TITLE)
    return with_autoencoder(config, states["tokenizer"])


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title=_TITLE,
            landmarks=tuple(_PREFIX + key for key in LANDMARKS),
            nestings=("",),
            table=tuple((rf"module\.{pattern}", path, transform) for pattern, path, transform in GENERATOR),
        ),
        "tokenizer": TOKENIZER,
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("num_heads",),
)
