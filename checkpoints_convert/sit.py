"""SiT and Stable Diffusion's autoencoder. The generator's names and shapes are those of DiT."""

from collections.abc import Mapping
from typing import Any

from checkpoints_convert.dit import (
    FOREIGN,
    GENERATOR,
    LANDMARKS,
    TOKENIZER,
    network,
    preprocessing,
    with_autoencoder,
)
from checkpoints_convert.heads import with_heads
from checkpoints_convert.records import Conversion, Part, StateDict
from jaxaudit.families.sit import RELEASED

_TITLE = "SiT generator"


def infer_config(states: Mapping[str, StateDict], *, num_heads: int | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.sit`; arguments and errors are those of `dit.infer_config`."""
    config = with_heads(network(states["generator"]), num_heads, released=RELEASED, title=_TITLE)
    return with_autoencoder(config, states["tokenizer"])


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title=_TITLE, landmarks=LANDMARKS, nestings=("ema", ""), table=GENERATOR, foreign=FOREIGN
        ),
        "tokenizer": TOKENIZER,
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("num_heads",),
)
