"""DiT and Stable Diffusion's autoencoder: the generator's table of names, the config read from the shapes.

Axes: L tokens, C width, F hidden units, c channels of a latent, p latent pixels per side of a token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from checkpoints_convert import kl_autoencoder
from checkpoints_convert.heads import with_heads
from checkpoints_convert.mapping import Table, conv, keep, linear
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.models.dit import VARIANTS, DiTConfig
from jaxaudit.models.mdt import MDTConfig
from jaxaudit.tokenizers.kl_autoencoder import RELEASED, KLAutoencoderConfig

_BLOCK, _BLOCK_PATH = r"blocks\.(\d+)", r"blocks_\1"

TRUNK: Table = (
    (r"pos_embed", "pos_embed", keep),
    *conv(r"x_embedder\.proj", "x_embedder/proj"),
    *linear(r"t_embedder\.mlp\.([02])", r"t_embedder/mlp_\1"),
    (r"y_embedder\.embedding_table\.weight", "y_embedder/embedding_table/embedding", keep),
    *linear(rf"{_BLOCK}\.attn\.(qkv|proj)", rf"{_BLOCK_PATH}/attn/\2"),
    *linear(rf"{_BLOCK}\.adaLN_modulation\.1", f"{_BLOCK_PATH}/adaLN_modulation_1"),
    *linear(r"final_layer\.linear", "final_layer/linear"),
    *linear(r"final_layer\.adaLN_modulation\.1", "final_layer/adaLN_modulation_1"),
)
"""What DiT and its relatives have in common: all but the MLPs."""

GENERATOR: Table = (*TRUNK, *linear(rf"{_BLOCK}\.mlp\.(fc1|fc2)", rf"{_BLOCK_PATH}/mlp/\2"))

LANDMARKS = ("x_embedder.proj.weight", "y_embedder.embedding_table.weight", "blocks.0.mlp.fc1.weight")

FOREIGN = ("decoder_pos_embed",)
"""What tells MDT's files from those of this network."""

TOKENIZER = Part(
    title="KL autoencoder in the diffusers layout",
    landmarks=kl_autoencoder.LANDMARKS_DIFFUSERS,
    nestings=("",),
    depending=lambda state: kl_autoencoder.diffusers(count(state, "encoder.down_blocks")),
)
"""Stable Diffusion's autoencoder, which they all have."""


def infer_config(states: Mapping[str, StateDict], *, num_heads: int | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.dit`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      num_heads: attention heads, of which the shapes keep no trace; default those of the released model with
        these shapes.

    Raises:
      InputError: if a tensor that tells the shape is missing, the two parts do not fit each other, or the
        heads are neither given nor those of a released model.
    """
    config = with_heads(network(states["generator"]), num_heads, released=VARIANTS, title="DiT generator")
    return with_autoencoder(config, states["tokenizer"])


def network(generator: StateDict) -> DiTConfig:
    """What the shapes tell of a network of DiT's; its `num_heads` are not among it.

    Raises:
      InputError: as `trunk`.
    """
    fields = trunk(generator)
    hidden, _ = shape(generator, "blocks.0.mlp.fc1.weight", 2)
    return DiTConfig(**fields, mlp_ratio=hidden / fields["width"])


def trunk(generator: StateDict) -> dict[str, Any]:
    """The fields of `DiTConfig` that what DiT shares with its relatives tells, `num_heads` 1.

    Raises:
      InputError: if a tensor that tells the shape is missing or contradicts another.
    """
    width, channels, patch_size, _ = shape(generator, "x_embedder.proj.weight", 4)
    rows, _ = shape(generator, "y_embedder.embedding_table.weight", 2)
    outputs, _ = shape(generator, "final_layer.linear.weight", 2)
    length = shape(generator, "pos_embed", 3)[1]
    side = math.isqrt(length)
    if side * side != length:
        raise InputError(f"The generator has {length} tokens, which is no square.")
    return {
        "num_classes": rows - 1,
        "depth": count(generator, "blocks"),
        "width": width,
        "num_heads": 1,
        "latent_size": side * patch_size,
        "latent_channels": channels,
        "patch_size": patch_size,
        "learned_variance": outputs == 2 * channels * patch_size**2,
    }


def with_autoencoder(config: DiTConfig | MDTConfig, tokenizer: StateDict) -> dict[str, Any]:
    """The config of a target: such a network, and the autoencoder with these tensors.

    Raises:
      InputError: if a tensor that tells the shape is missing, or the two do not fit each other.
    """
    autoencoder = kl_autoencoder.infer_config(
        tokenizer, scale=RELEASED["sd-vae-ft-mse"].config.scale, latent_size=config.latent_size
    )
    return {"generator": to_dict(config), "tokenizer": to_dict(autoencoder)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """DiT's own: ADM's centre crop, [-1, 1]."""
    size = from_dict(KLAutoencoderConfig, config["tokenizer"]).image_size
    return Preprocessing(image_size=size, resize="adm", short_side=size, low=-1.0, high=1.0)


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="DiT generator",
            landmarks=LANDMARKS,
            nestings=("ema", ""),
            table=GENERATOR,
            foreign=FOREIGN,
        ),
        "tokenizer": TOKENIZER,
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("num_heads",),
)
