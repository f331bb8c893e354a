"""DiT-MoE and Stable Diffusion's autoencoder: the generator's table, the config read from the shapes.

Large models were made for another attention, whose names differ; they are the ones that normalise queries and
keys, and the flows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from checkpoints_convert.dit import LANDMARKS, TOKENIZER, TRUNK, preprocessing, trunk, with_autoencoder
from checkpoints_convert.heads import with_heads
from checkpoints_convert.mapping import Table, linear, norm
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.errors import InputError
from jaxaudit.families.dit_moe import FLOW
from jaxaudit.models.dit_moe import VARIANTS, DiTMoEConfig

_TITLE = "DiT-MoE generator"
_BLOCK, _BLOCK_PATH = r"blocks\.(\d+)", r"blocks_\1"
_PROJECTION = r"(gate_proj|up_proj|down_proj)"

GENERATOR: Table = (
    *TRUNK,
    *linear(rf"{_BLOCK}\.attn\.Wqkv", f"{_BLOCK_PATH}/attn/qkv"),
    *linear(rf"{_BLOCK}\.attn\.out_proj", f"{_BLOCK_PATH}/attn/proj"),
    *norm(rf"{_BLOCK}\.attn\.([qk]_norm)", rf"{_BLOCK_PATH}/attn/\2"),
    *linear(rf"{_BLOCK}\.moe\.experts\.(\d+)\.{_PROJECTION}", rf"{_BLOCK_PATH}/moe/experts_\2/\3"),
    *linear(rf"{_BLOCK}\.moe\.shared_experts\.{_PROJECTION}", rf"{_BLOCK_PATH}/moe/shared_experts/\2"),
    *linear(rf"{_BLOCK}\.moe\.gate", f"{_BLOCK_PATH}/moe/gate"),
)


def infer_config(states: Mapping[str, StateDict], *, num_heads: int | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.dit_moe`; two experts work on each token, as in all released models.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      num_heads: attention heads, where the shapes keep no trace of them; default those of the released model
        with these shapes.

    Raises:
      InputError: if a tensor that tells the shape is missing, the two parts do not fit each other, or the
        heads are neither given nor told, or both and different.
    """
    generator = states["generator"]
    fields = trunk(generator)
    hidden, width = shape(generator, "blocks.0.moe.experts.0.gate_proj.weight", 2)
    shared, _ = shape(generator, "blocks.0.moe.shared_experts.gate_proj.weight", 2)
    config = DiTMoEConfig(
        **fields,
        mlp_ratio=hidden / width,
        num_experts=count(generator, "blocks.0.moe.experts"),
        shared_ratio=shared / width,
    )
    if "blocks.0.attn.q_norm.weight" not in generator:
        config = with_heads(config, num_heads, released=VARIANTS, title=_TITLE)
        return with_autoencoder(config, states["tokenizer"])
    told = width // shape(generator, "blocks.0.attn.q_norm.weight", 1)[0]
    if num_heads not in (None, told):
        raise InputError(f"num_heads={num_heads}: the shapes of this {_TITLE} tell that it has {told}.")
    config = dataclasses.replace(config, num_heads=told, qk_norm=True)
    return {**with_autoencoder(config, states["tokenizer"]), "process": FLOW}


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title=_TITLE,
            landmarks=(*LANDMARKS[:2], "blocks.0.moe.gate.weight"),
            nestings=("ema", "model", ""),
            table=GENERATOR,
        ),
        "tokenizer": TOKENIZER,
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("num_heads",),
)
