"""`UNet2DConditionModel`: Stable Diffusion's U-Net of captions, its config and the names of its tensors.

diffusers counts blocks by level, CompVis and our U-Net through all of them: with n ResBlocks on a level of
the way down, the i-th of level k is number 1 + k (n + 1) + i on the way down, and k (n + 1) + i on the way
up, where levels are counted from the lowest resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoints_convert.diffusers.networks import Denoiser
from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import Table, conv, linear, norm
from checkpoints_convert.unet import transformer
from jaxaudit.configs import to_dict
from jaxaudit.errors import InputError
from jaxaudit.families.sd import PROCESS
from jaxaudit.models.unet import UNetConfig

_CAPTION_TOKENS = 77
"""CLIP's, where a folder has no text encoder."""

_ONLY = {
    "act_fn": "silu",
    "norm_eps": 1e-5,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "center_input_sample": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "downsample_padding": 1,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "mid_block_scale_factor": 1,
    "attention_type": "default",
    "resnet_time_scale_shift": "default",
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "transformer_layers_per_block": 1,
}
_WHATEVER = ("use_linear_projection", "upcast_attention", "dropout", "addition_embed_type_num_heads")


def config(settings: Settings, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The config of `jaxaudit.models.unet.UNet`; captions have the length of the text encoder's."""
    downs = settings.value("down_block_types", list[str])
    attention = [level for level, kind in enumerate(downs) if kind == "CrossAttnDownBlock2D"]
    said = settings.take(
        {
            "block_out_channels": list[int],
            "layers_per_block": 2,
            "cross_attention_dim": int,
            "sample_size": int,
            "in_channels": 4,
            "norm_num_groups": 32,
        },
        only=_ONLY
        | {
            "out_channels": settings.value("in_channels", 4),
            "down_block_types": _blocks("Down", len(downs), attention),
            "up_block_types": _blocks("Up", len(downs), attention)[::-1],
        },
        whatever={*_WHATEVER, "attention_head_dim", "num_attention_heads"},
    )
    channels, groups = said["block_out_channels"], said["norm_num_groups"]
    settings.check_groups(groups, channels)
    if odd := [n for n in channels if n % channels[0]]:
        raise InputError(f"{settings.path} has a level of {odd[0]} channels, no multiple of {channels[0]}.")
    # What is called their width is the number of heads.
    levels = len(channels)
    heads = settings.per_level("num_attention_heads", levels) or (
        settings.per_level("attention_head_dim", levels) or (8,) * levels
    )
    return to_dict(
        UNetConfig(
            num_classes=0,
            context_length=parts["text_encoder"]["length"] if "text_encoder" in parts else _CAPTION_TOKENS,
            context_dim=said["cross_attention_dim"],
            width=channels[0],
            ch_mult=tuple(n // channels[0] for n in channels),
            num_res_blocks=said["layers_per_block"],
            attention_levels=tuple(attention),
            heads=heads,
            latent_size=said["sample_size"],
            latent_channels=said["in_channels"],
            num_groups=groups,
        )
    )


def _blocks(way: str, levels: int, attention: list[int]) -> list[str]:
    """Classes of the blocks from the highest resolution on."""
    return [f"CrossAttn{way}Block2D" if level in attention else f"{way}Block2D" for level in range(levels)]


def table(config: Mapping[str, Any]) -> Table:
    """The rows for as many levels, and blocks on each, as there are."""
    stride = config["num_res_blocks"] + 1
    rows: list[Any] = [
        *linear(r"time_embedding\.linear_1", "time_embed/mlp_0"),
        *linear(r"time_embedding\.linear_2", "time_embed/mlp_2"),
        *conv(r"(conv_in|conv_out)", r"\1"),
        *norm(r"conv_norm_out", "norm_out"),
        *_res_block(r"mid_block\.resnets\.0", "middle_blocks_0"),
        *_res_block(r"mid_block\.resnets\.1", "middle_blocks_2"),
        *transformer(r"mid_block\.attentions\.0", "middle_transformer", reads_one_token=False),
    ]
    for level in range(len(config["ch_mult"])):
        rows += conv(
            rf"down_blocks\.{level}\.downsamplers\.0\.conv", f"downsample_{(level + 1) * stride}/conv"
        )
        rows += conv(rf"up_blocks\.{level}\.upsamplers\.0\.conv", f"upsample_{(level + 1) * stride - 1}/conv")
        for way, part, first in (("down", "input", level * stride + 1), ("up", "output", level * stride)):
            for i in range(stride):
                block, number = rf"{way}_blocks\.{level}", first + i
                rows += _res_block(rf"{block}\.resnets\.{i}", f"{part}_blocks_{number}")
                rows += transformer(
                    rf"{block}\.attentions\.{i}", f"{part}_transformer_{number}", reads_one_token=False
                )
    return tuple(rows)


def _res_block(pattern: str, path: str) -> Table:
    return (
        *norm(rf"{pattern}\.(norm[12])", rf"{path}/\1"),
        *conv(rf"{pattern}\.(conv[12])", rf"{path}/\1"),
        *linear(rf"{pattern}\.time_emb_proj", f"{path}/time"),
        *conv(rf"{pattern}\.conv_shortcut", f"{path}/shortcut"),
    )


NETWORK = Denoiser(title="U-Net of captions", config=config, table=table, family="sd", process=PROCESS)
