"""KL autoencoders: tables of names for the two layouts in use, and the config read from the shapes.

CompVis (MAR's kl16.ckpt, U-ViT's autoencoder_kl.pth): levels `down.0.block.0`, attention as 1×1 convolutions.
diffusers (sd-vae-ft-*): levels `down_blocks.0.resnets.0`, the decoder's counted from the lowest resolution;
attention as linear layers, which files older than a renaming call query, key, value and proj_attn.

Axes of the stored tensors: O output features, I input features, H W kernel height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkpoints_convert.mapping import Table, conv, drop, keep, norm
from checkpoints_convert.records import StateDict, count, shape
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoderConfig

_CODER = r"(encoder|decoder)"
_LEVEL, _LEVEL_PATH = rf"{_CODER}\.(down|up)\.(\d+)", r"\1/\2_\3"

_ENDS: Table = (
    *conv(rf"{_CODER}\.(conv_in|conv_out)", r"\1/\2"),
    *conv(r"(quant_conv|post_quant_conv)", r"\1"),
)

COMPVIS: Table = (
    *_ENDS,
    *norm(rf"{_CODER}\.norm_out", r"\1/norm_out"),
    *norm(rf"{_LEVEL}\.block\.(\d+)\.(norm[12])", rf"{_LEVEL_PATH}/block_\4/\5"),
    *conv(rf"{_LEVEL}\.block\.(\d+)\.(conv[12]|nin_shortcut)", rf"{_LEVEL_PATH}/block_\4/\5"),
    *norm(rf"{_LEVEL}\.attn\.(\d+)\.norm", rf"{_LEVEL_PATH}/attn_\4/norm"),
    *conv(rf"{_LEVEL}\.attn\.(\d+)\.(q|k|v|proj_out)", rf"{_LEVEL_PATH}/attn_\4/\5"),
    *conv(rf"{_LEVEL}\.(downsample|upsample)\.conv", rf"{_LEVEL_PATH}/\4/conv"),
    *norm(rf"{_CODER}\.mid\.(block_[12])\.(norm[12])", r"\1/mid/\2/\3"),
    *conv(rf"{_CODER}\.mid\.(block_[12])\.(conv[12])", r"\1/mid/\2/\3"),
    *norm(rf"{_CODER}\.mid\.attn_1\.norm", r"\1/mid/attn_1/norm"),
    *conv(rf"{_CODER}\.mid\.attn_1\.(q|k|v|proj_out)", r"\1/mid/attn_1/\2"),
    (r"loss\..+", None, drop),  # discriminator and perceptual network of a training checkpoint
)
"""Rows of the CompVis layout."""

LANDMARKS_COMPVIS = ("encoder.mid.attn_1.q.weight", "post_quant_conv.weight")
LANDMARKS_DIFFUSERS = ("encoder.mid_block.attentions.0.group_norm.weight", "post_quant_conv.weight")


def diffusers(levels: int = 4) -> Table:
    """Rows of the diffusers layout, for either naming of the attention; `levels` counts the resolutions."""
    table = [*_ENDS, *norm(rf"{_CODER}\.conv_norm_out", r"\1/norm_out")]
    for level in range(levels):
        for blocks, path in (
            (rf"encoder\.down_blocks\.{level}", f"encoder/down_{level}"),
            (rf"decoder\.up_blocks\.{level}", f"decoder/up_{levels - 1 - level}"),
        ):
            table += norm(rf"{blocks}\.resnets\.(\d+)\.(norm[12])", rf"{path}/block_\1/\2")
            table += conv(rf"{blocks}\.resnets\.(\d+)\.(conv[12])", rf"{path}/block_\1/\2")
            table += conv(rf"{blocks}\.resnets\.(\d+)\.conv_shortcut", rf"{path}/block_\1/nin_shortcut")
            table += conv(rf"{blocks}\.(downsample|upsample)rs\.0\.conv", rf"{path}/\1/conv")
    for i in range(2):
        table += norm(rf"{_CODER}\.mid_block\.resnets\.{i}\.(norm[12])", rf"\1/mid/block_{i + 1}/\2")
        table += conv(rf"{_CODER}\.mid_block\.resnets\.{i}\.(conv[12])", rf"\1/mid/block_{i + 1}/\2")
    attention = rf"{_CODER}\.mid_block\.attentions\.0"
    table += norm(rf"{attention}\.group_norm", r"\1/mid/attn_1/norm")
    for name, names in (
        ("q", "to_q|query"),
        ("k", "to_k|key"),
        ("v", "to_v|value"),
        ("proj_out", r"to_out\.0|proj_attn"),
    ):
        pattern, path = rf"{attention}\.(?:{names})", rf"\1/mid/attn_1/{name}"
        table += (
            (rf"{pattern}\.weight", f"{path}/kernel", pixelwise_kernel),
            (rf"{pattern}\.bias", f"{path}/bias", keep),
        )
    return tuple(table)


def pixelwise_kernel(x: Any) -> Any:
    """Weight of a linear layer [O,I] -> that of the same 1×1 convolution [1,1,I,O]."""
    return x.transpose(1, 0)[None, None]


def infer_config(state: StateDict, *, scale: float, latent_size: int) -> KLAutoencoderConfig:
    """The shape of an autoencoder in either layout.

    Args:
      state: its tensors or their shapes.
      scale: of the latents; belongs to the generator and leaves no trace in the file.
      latent_size: height and width of the latents the generator reads.

    Raises:
      InputError: if a tensor that tells the shape is missing.
    """
    is_compvis = "encoder.mid.attn_1.q.weight" in state
    level, block = ("encoder.down", "block") if is_compvis else ("encoder.down_blocks", "resnets")
    levels = range(count(state, level))
    ch = shape(state, "encoder.conv_in.weight", 4)[0]
    channels = [shape(state, f"{level}.{i}.{block}.0.conv1.weight", 4)[0] for i in levels]
    return KLAutoencoderConfig(
        latent_channels=shape(state, "post_quant_conv.weight", 4)[1],
        ch=ch,
        ch_mult=multiples(channels, of=ch),
        num_res_blocks=count(state, f"{level}.0.{block}"),
        encoder_attention_levels=tuple(i for i in levels if f"{level}.{i}.attn.0.q.weight" in state),
        scale=scale,
        image_size=latent_size * 2 ** (len(levels) - 1),
    )


def multiples(channels: Sequence[int], *, of: int) -> tuple[float, ...]:
    """Each number in units of another; whole ratios as ints, since configs are compared as data."""
    return tuple(n // of if n % of == 0 else n / of for n in channels)
