"""LlamaGen and its VQ-16 tokenizer: tables of names, and the config read from the shapes.

DDP trainings keep the state dict under "model", DeepSpeed's under "module"; those of FSDP (XXL, 3B) are flat.
Rotary positions are not stored, so that the models of 256 and of 384 px have the same tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoints_convert.heads import with_heads
from checkpoints_convert.mapping import Table, conv, drop, keep, linear, norm
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.models.llamagen import VARIANTS, LlamaGenConfig
from jaxaudit.tokenizers.llamagen_vq import LlamaGenVQConfig

_LAYER, _LAYER_PATH = r"layers\.(\d+)", r"layers_\1"

GENERATOR: Table = (
    (r"cls_embedding\.embedding_table\.weight", "cls_embedding/embedding", keep),
    (r"tok_embeddings\.weight", "tok_embeddings/embedding", keep),
    *linear(rf"{_LAYER}\.attention\.(wqkv|wo)", rf"{_LAYER_PATH}/attention/\2"),
    *linear(rf"{_LAYER}\.feed_forward\.w1", f"{_LAYER_PATH}/feed_forward/gate"),
    *linear(rf"{_LAYER}\.feed_forward\.w2", f"{_LAYER_PATH}/feed_forward/fc2"),
    *linear(rf"{_LAYER}\.feed_forward\.w3", f"{_LAYER_PATH}/feed_forward/fc1"),
    *norm(rf"{_LAYER}\.(attention_norm|ffn_norm)", rf"{_LAYER_PATH}/\2"),
    *norm(r"norm", "norm"),
    *linear(r"output", "output"),
    (r"freqs_cis", None, drop),
)

_CODER = r"(encoder|decoder)"

TOKENIZER: Table = (
    *conv(rf"{_CODER}\.(conv_in|conv_out)", r"\1/\2"),
    *norm(rf"{_CODER}\.norm_out", r"\1/norm_out"),
    *(
        row
        for i, name in ((0, "block_1"), (2, "block_2"))
        for row in (
            *norm(rf"{_CODER}\.mid\.{i}\.(norm[12])", rf"\1/mid/{name}/\2"),
            *conv(rf"{_CODER}\.mid\.{i}\.(conv[12])", rf"\1/mid/{name}/\2"),
        )
    ),
    *norm(rf"{_CODER}\.mid\.1\.norm", r"\1/mid/attn_1/norm"),
    *conv(rf"{_CODER}\.mid\.1\.(q|k|v|proj_out)", r"\1/mid/attn_1/\2"),
    *conv(r"(quant_conv|post_quant_conv)", r"\1"),
    (r"quantize\.embedding\.weight", "quantize/embedding/embedding", keep),
    (r"quantize\.codebook_used", None, drop),
)
"""All rows but those of the levels."""


def levels(state: StateDict) -> Table:
    """Rows of the levels; the file counts those of the decoder from the lowest resolution."""
    num_levels = count(state, "encoder.conv_blocks")
    rows: list[Any] = []
    for level in range(num_levels):
        for name, path in (
            (rf"encoder\.conv_blocks\.{level}", f"encoder/down_{level}"),
            (rf"decoder\.conv_blocks\.{level}", f"decoder/up_{num_levels - 1 - level}"),
        ):
            rows += norm(rf"{name}\.res\.(\d+)\.(norm[12])", rf"{path}/block_\1/\2")
            rows += conv(rf"{name}\.res\.(\d+)\.(conv[12]|nin_shortcut)", rf"{path}/block_\1/\2")
            rows += norm(rf"{name}\.attn\.(\d+)\.norm", rf"{path}/attn_\1/norm")
            rows += conv(rf"{name}\.attn\.(\d+)\.(q|k|v|proj_out)", rf"{path}/attn_\1/\2")
            rows += conv(rf"{name}\.(downsample|upsample)\.conv", rf"{path}/\1/conv")
    return tuple(rows)


def infer_config(
    states: Mapping[str, StateDict], *, num_heads: int | None = None, image_size: int | None = None
) -> dict[str, Any]:
    """The config of `jaxaudit.families.llamagen`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      num_heads: attention heads, of which the shapes keep no trace; default those of the released model with
        these shapes.
      image_size: pixels per side of a picture, of which they keep none either.

    Raises:
      InputError: if a tensor that tells the shape is missing, the two parts do not fit each other, the size
        is not given or no multiple of a token's, or the heads are neither given nor those of a released one.
    """
    generator = states["generator"]
    tokenizer = _tokenizer_config(states["tokenizer"], image_size)
    rows, width = shape(generator, "cls_embedding.embedding_table.weight", 2)
    vocab, _ = shape(generator, "output.weight", 2)
    if vocab != tokenizer.vocab_size:
        raise InputError(
            f"Generator and tokenizer do not belong together: vocabulary {vocab} in the generator, "
            f"{tokenizer.vocab_size} in the tokenizer."
        )
    config = LlamaGenConfig(
        num_classes=rows - 1,
        depth=count(generator, "layers"),
        width=width,
        num_heads=1,
        mlp_width=shape(generator, "layers.0.feed_forward.w1.weight", 2)[0],
        vocab_size=vocab,
        num_tokens=tokenizer.num_tokens,
    )
    config = with_heads(config, num_heads, released=VARIANTS, title="LlamaGen generator")
    return {"generator": to_dict(config), "tokenizer": to_dict(tokenizer)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """LlamaGen's own: ADM's centre crop, [-1, 1]."""
    size = from_dict(LlamaGenVQConfig, config["tokenizer"]).image_size
    return Preprocessing(image_size=size, resize="adm", short_side=size, low=-1.0, high=1.0)


def _tokenizer_config(state: StateDict, image_size: int | None) -> LlamaGenVQConfig:
    ch = shape(state, "encoder.conv_in.weight", 4)[0]
    vocab, code_channels = shape(state, "quantize.embedding.weight", 2)
    blocks = [f"encoder.conv_blocks.{i}.res" for i in range(count(state, "encoder.conv_blocks"))]
    pixels = 2 ** (len(blocks) - 1)
    if image_size is None:
        raise InputError(
            "The shapes of a LlamaGen generator do not tell the size of its pictures; say it with --variant "
            "or --image_size (the released ones: 256 or 384)."
        )
    if image_size < 1 or image_size % pixels:
        raise InputError(f"image_size={image_size} is no multiple of {pixels}, the pixels of a token.")
    return LlamaGenVQConfig(
        vocab_size=vocab,
        code_channels=code_channels,
        z_channels=shape(state, "post_quant_conv.weight", 4)[0],
        ch=ch,
        ch_mult=tuple(shape(state, f"{block}.0.conv1.weight", 4)[0] // ch for block in blocks),
        num_res_blocks=count(state, blocks[0]),
        side=image_size // pixels,
    )


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="LlamaGen generator",
            landmarks=("cls_embedding.embedding_table.weight", "tok_embeddings.weight"),
            nestings=("model", "module", ""),
            table=GENERATOR,
        ),
        "tokenizer": Part(
            title="LlamaGen tokenizer",
            landmarks=("encoder.conv_blocks.0.res.0.conv1.weight", "quantize.embedding.weight"),
            nestings=("model", ""),
            table=TOKENIZER,
            depending=levels,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks_heads=True,
    asks_size=True,
)
