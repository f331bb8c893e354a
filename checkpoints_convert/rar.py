"""RAR and its MaskGIT-VQGAN tokenizer: tables of names, and the config read from the shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from checkpoints_convert.mapping import Table, conv, keep, linear, norm
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.models.rar import SPARE_POSITIONS, RARConfig
from jaxaudit.tokenizers.maskgit_vq import MaskGITVQConfig

_BLOCK, _BLOCK_PATH = r"blocks\.(\d+)", r"blocks_\1"

GENERATOR: Table = (
    (r"(cls_token|pos_embed|target_aware_pos_embed|timesteps_embeddings)", r"\1", keep),
    (r"embeddings\.weight", "embeddings/embedding", keep),
    *norm(rf"{_BLOCK}\.(norm[12])", rf"{_BLOCK_PATH}/\2"),
    *linear(rf"{_BLOCK}\.attn\.(qkv|proj)", rf"{_BLOCK_PATH}/attn/\2"),
    *norm(rf"{_BLOCK}\.attn\.(q_norm|k_norm)", rf"{_BLOCK_PATH}/attn/\2"),
    *linear(rf"{_BLOCK}\.mlp\.(fc1|fc2)", rf"{_BLOCK_PATH}/mlp/\2"),
    *linear(rf"{_BLOCK}\.adaLN_modulation\.1", f"{_BLOCK_PATH}/adaLN_modulation_1"),
    *linear(r"adaln_before_head\.adaLN_modulation\.1", "adaln_before_head/adaLN_modulation_1"),
    *linear(r"lm_head", "lm_head"),
)

_CODER = r"(encoder|decoder)"
_LEVEL, _LEVEL_PATH = rf"{_CODER}\.(down|up)\.(\d+)", r"\1/\2_\3"

TOKENIZER: Table = (
    *conv(rf"{_CODER}\.(conv_in|conv_out)", r"\1/\2"),
    *norm(rf"{_CODER}\.norm_out", r"\1/norm_out"),
    *norm(rf"{_LEVEL}\.block\.(\d+)\.(norm[12])", rf"{_LEVEL_PATH}/block_\4/\5"),
    *conv(rf"{_LEVEL}\.block\.(\d+)\.(conv[12]|nin_shortcut)", rf"{_LEVEL_PATH}/block_\4/\5"),
    *conv(rf"{_LEVEL}\.upsample_conv", f"{_LEVEL_PATH}/upsample_conv"),
    *norm(rf"{_CODER}\.mid\.(\d+)\.(norm[12])", r"\1/mid_\2/\3"),
    *conv(rf"{_CODER}\.mid\.(\d+)\.(conv[12])", r"\1/mid_\2/\3"),
    (r"quantize\.embedding\.weight", "quantize/embedding/embedding", keep),
)


def infer_config(states: Mapping[str, StateDict]) -> dict[str, Any]:
    """The config of `jaxaudit.families.rar`, from the shapes of both state dicts.

    Raises:
      InputError: if a tensor that tells the shape is missing, or the two parts do not fit each other.
    """
    generator = _generator_config(states["generator"])
    tokenizer = _tokenizer_config(states["tokenizer"], generator)
    return {"generator": to_dict(generator), "tokenizer": to_dict(tokenizer)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """RAR's own: bicubic to the picture size, centre crop, [0, 1]."""
    size = from_dict(MaskGITVQConfig, config["tokenizer"]).image_size
    return Preprocessing(image_size=size, resize="bicubic", short_side=size, low=0.0, high=1.0)


def _generator_config(state: StateDict) -> RARConfig:
    ids, width = shape(state, "embeddings.weight", 2)
    vocab, _ = shape(state, "lm_head.weight", 2)
    hidden, _ = shape(state, "blocks.0.mlp.fc1.weight", 2)
    (head_width,) = shape(state, "blocks.0.attn.q_norm.weight", 1)
    return RARConfig(
        num_classes=ids - vocab - 2,  # the embedding also holds the mask and "none"
        depth=count(state, "blocks"),
        width=width,
        num_heads=width // head_width,
        mlp_width=hidden,
        vocab_size=vocab,
        num_tokens=shape(state, "pos_embed", 3)[1] - SPARE_POSITIONS,
    )


def _tokenizer_config(state: StateDict, generator: RARConfig) -> MaskGITVQConfig:
    ch = shape(state, "encoder.conv_in.weight", 4)[0]
    vocab, z_channels = shape(state, "quantize.embedding.weight", 2)
    if vocab != generator.vocab_size:
        raise InputError(
            f"Generator and tokenizer do not belong together: vocabulary {generator.vocab_size} in the "
            f"generator, {vocab} in the tokenizer."
        )
    side = math.isqrt(max(generator.num_tokens, 0))
    if side < 1 or side**2 != generator.num_tokens:
        raise InputError(
            f"pos_embed of the generator leaves {generator.num_tokens} positions for the tokens of a picture "
            f"(its rows but {SPARE_POSITIONS}), which is not a square."
        )
    levels = range(count(state, "encoder.down"))
    return MaskGITVQConfig(
        vocab_size=vocab,
        z_channels=z_channels,
        ch=ch,
        ch_mult=tuple(shape(state, f"encoder.down.{i}.block.0.conv1.weight", 4)[0] // ch for i in levels),
        num_res_blocks=count(state, "encoder.down.0.block"),
        side=side,
    )


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="RAR generator",
            landmarks=("target_aware_pos_embed", "timesteps_embeddings"),
            nestings=("",),
            table=GENERATOR,
        ),
        "tokenizer": Part(
            title="MaskGIT-VQGAN tokenizer",
            landmarks=("encoder.mid.0.conv1.weight", "quantize.embedding.weight"),
            nestings=("",),
            table=TOKENIZER,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
)
