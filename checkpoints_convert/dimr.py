"""DiMR and Stable Diffusion's autoencoder: the generator's table of names, the config read from the shapes.

Axes: C width, F hidden units, c channels of a latent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from checkpoints_convert import dit, kl_autoencoder, uvit
from checkpoints_convert.heads import with_heads
from checkpoints_convert.mapping import Table, conv, keep, linear
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import to_dict
from jaxaudit.errors import InputError
from jaxaudit.families.dimr import SCALE
from jaxaudit.models.dimr import VARIANTS, DiMRConfig

_MLP = {"w0": "gate", "w1": "fc1", "w2": "fc2"}


def _moving(pattern: str, path: str) -> Table:
    """The row of a norm's parameter that moves with time, of four tensors."""
    return ((rf"{pattern}\.(?P<part>param[01]|nodecay_weight|nodecay_bias)", rf"{path}/\g<part>", keep),)


def _network(stage: int, name: str) -> Table:
    """Rows that the coarse and the fine network have alike."""
    source, blocks = rf"stages\.{stage}", rf"stages\.{stage}\.blocks\.(\d+)"
    rows = [
        *conv(rf"{source}\.input_layer\.1", f"{name}_input/proj"),
        (rf"{source}\.input_layer\.3\.position_embeddings\.weight", f"{name}_positions", keep),
        *linear(rf"{source}\.skip_denses\.(\d+)", rf"{name}_skips_\1"),
        *_moving(rf"{blocks}\.block([12])\.norm\.scale", rf"{name}_blocks_\1/norm\2/scale"),
        *_moving(rf"{source}\.output_layer\.0\.(weight|bias)", rf"{name}_output/norm/\1"),
        *conv(rf"{source}\.output_layer\.2", f"{name}_output/conv"),
    ]
    for theirs, ours in _MLP.items():
        rows += linear(rf"{blocks}\.block2\.{theirs}", rf"{name}_blocks_\1/mlp/{ours}")
    return tuple(rows)


GENERATOR: Table = (
    *_network(0, "coarse"),
    *_network(1, "fine"),
    (r"stages\.0\.class_embeds\.weight", "class_embeds/embedding", keep),
    *linear(r"stages\.0\.blocks\.(\d+)\.block1\.query_key_value", r"coarse_blocks_\1/attn/qkv"),
    *linear(r"stages\.0\.blocks\.(\d+)\.block1\.dense", r"coarse_blocks_\1/attn/proj"),
    *_moving(r"stages\.1\.upsample\.0\.(weight|bias)", r"upsample/norm_in/\1"),
    *linear(r"stages\.1\.upsample\.1\.kernel", "upsample/linear"),
    *_moving(r"stages\.1\.upsample\.2\.(weight|bias)", r"upsample/norm_out/\1"),
    *conv(r"stages\.1\.blocks\.(\d+)\.block1\.1", r"fine_blocks_\1/conv"),
)


def infer_config(states: Mapping[str, StateDict], *, num_heads: int | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.dimr`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      num_heads: attention heads, of which the shapes keep no trace; default those of the released model with
        these shapes.

    Raises:
      InputError: if a tensor that tells the shape is missing, the two parts do not fit each other, or the
        heads are neither given nor those of a released model.
    """
    generator = states["generator"]
    rows, width = shape(generator, "stages.0.class_embeds.weight", 2)
    hidden, _ = shape(generator, "stages.0.blocks.0.block2.w0.weight", 2)
    fine_width, channels, _, _ = shape(generator, "stages.1.input_layer.1.weight", 4)
    pixels, _ = shape(generator, "stages.1.input_layer.3.position_embeddings.weight", 2)
    side = math.isqrt(pixels)
    if side * side != pixels:
        raise InputError(f"The generator reads {pixels} latent pixels, which is no square.")
    config = DiMRConfig(
        num_classes=rows - 1,
        depth=count(generator, "stages.0.blocks"),
        width=width,
        num_heads=1,
        fine_depth=count(generator, "stages.1.blocks"),
        fine_width=fine_width,
        mlp_ratio=hidden / width,
        kernel_size=shape(generator, "stages.1.blocks.0.block1.1.weight", 4)[-1],
        latent_size=side,
        latent_channels=channels,
    )
    config = with_heads(config, num_heads, released=VARIANTS, title="DiMR generator")
    tokenizer = kl_autoencoder.infer_config(states["tokenizer"], scale=SCALE, latent_size=config.latent_size)
    return {"generator": to_dict(config), "tokenizer": to_dict(tokenizer)}


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="DiMR generator",
            landmarks=("stages.0.class_embeds.weight", "stages.1.upsample.1.kernel.weight"),
            nestings=("",),
            table=GENERATOR,
        ),
        "tokenizer": uvit.CONVERSION.parts["tokenizer"],
    },
    infer_config=infer_config,
    preprocessing=dit.preprocessing,
    asks=("num_heads",),
)
