"""MDT and Stable Diffusion's autoencoder: the generator's table of names, the config read from the shapes.

Axes: L tokens, C width, F hidden units, c channels of a latent, p latent pixels per side of a token.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from checkpoints_convert import dit
from checkpoints_convert.mapping import Table, conv, drop_if_equal, keep, linear
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.models.mdt import VARIANTS, MDTConfig, relative_positions

_TABLE = "attn.rel_pos_bias.relative_position_bias_table"
_BLOCK, _BLOCK_PATH = r"(blocks|en_inblocks|en_outblocks|de_blocks|sideblocks)\.(\d+)", r"\1_\2"


def _index(shape: tuple[int, ...]) -> np.ndarray:
    """The buffer of a released block that says which row of its table is between which two positions."""
    return relative_positions(math.isqrt(shape[0]))


GENERATOR: Table = (
    (r"(pos_embed|decoder_pos_embed|mask_token)", r"\1", keep),
    *conv(r"x_embedder\.proj", "x_embedder/proj"),
    *linear(r"t_embedder\.mlp\.([02])", r"t_embedder/mlp_\1"),
    (r"y_embedder\.embedding_table\.weight", "y_embedder/embedding_table/embedding", keep),
    *linear(rf"{_BLOCK}\.(attn|mlp)\.(qkv|proj|fc1|fc2)", rf"{_BLOCK_PATH}/\3/\4"),
    (rf"{_BLOCK}\.{re.escape(_TABLE)}", f"{_BLOCK_PATH}/relative_position_bias", keep),
    (rf"{_BLOCK}\.attn\.rel_pos_bias\.relative_position_index", None, drop_if_equal(_index)),
    *linear(rf"{_BLOCK}\.adaLN_modulation\.1", f"{_BLOCK_PATH}/adaLN_modulation_1"),
    *linear(rf"{_BLOCK}\.skip_linear", f"{_BLOCK_PATH}/skip_linear"),
    *linear(r"final_layer\.linear", "final_layer/linear"),
    *linear(r"final_layer\.adaLN_modulation\.1", "final_layer/adaLN_modulation_1"),
)


def infer_config(states: Mapping[str, StateDict]) -> dict[str, Any]:
    """The config of `jaxaudit.families.mdt`, from the shapes of both state dicts.

    How many tokens training hid leaves no trace in a checkpoint, nor, without skips, how many blocks are the
    decoder's: both are taken to be those of the released models.

    Raises:
      InputError: if a tensor that tells the shape is missing, or the two parts do not fit each other.
    """
    generator = states["generator"]
    fields = {**dit.trunk(generator), **_blocks(generator)}
    hidden, _ = shape(generator, "sideblocks.0.mlp.fc1.weight", 2)
    _, fields["num_heads"] = shape(generator, f"sideblocks.0.{_TABLE}", 2)
    config = MDTConfig(**fields, mlp_ratio=hidden / fields["width"])
    return dit.with_autoencoder(config, states["tokenizer"])


def _blocks(generator: StateDict) -> dict[str, Any]:
    """How many blocks there are, and what they are like."""
    if depth := count(generator, "blocks"):
        like = VARIANTS["mdt_v1_xl_2"].config
        decoder_depth = like.decoder_depth
    else:
        like = VARIANTS["mdt_v2_xl_2"].config
        decoder_depth = count(generator, "de_blocks")
        depth = 2 * count(generator, "en_inblocks") + decoder_depth
    return {
        "depth": depth,
        "decoder_depth": decoder_depth,
        "skips": like.skips,
        "hidden_share": like.hidden_share,
    }


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="MDT generator",
            landmarks=("decoder_pos_embed", "y_embedder.embedding_table.weight"),
            nestings=("",),
            table=GENERATOR,
        ),
        "tokenizer": dit.TOKENIZER,
    },
    infer_config=infer_config,
    preprocessing=dit.preprocessing,
)
