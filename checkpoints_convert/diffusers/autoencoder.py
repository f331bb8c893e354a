"""`AutoencoderKL`: its config; the names of its tensors are in `checkpoints_convert.kl_autoencoder`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoints_convert import kl_autoencoder
from checkpoints_convert.diffusers.networks import Network
from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import Table
from jaxaudit.configs import to_dict
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoderConfig


def config(settings: Settings, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The config of `jaxaudit.tokenizers.kl_autoencoder.KLAutoencoder`, for the latents of the generator."""
    levels = len(settings.value("block_out_channels", list[int]))
    said = settings.take(
        {
            "block_out_channels": list[int],
            "layers_per_block": 1,
            "latent_channels": 4,
            "norm_num_groups": 32,
            "scaling_factor": 0.18215,
            "shift_factor": 0.0,
            "use_quant_conv": True,
            "use_post_quant_conv": True,
            "mid_block_add_attention": True,
        },
        only={
            "in_channels": 3,
            "out_channels": 3,
            "act_fn": "silu",
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
        },
        whatever={"sample_size", "force_upcast"},
    )
    channels, groups = said["block_out_channels"], said["norm_num_groups"]
    settings.check_groups(groups, channels)
    return to_dict(
        KLAutoencoderConfig(
            latent_channels=said["latent_channels"],
            ch=channels[0],
            ch_mult=kl_autoencoder.multiples(channels, of=channels[0]),
            num_res_blocks=said["layers_per_block"],
            encoder_attention_levels=(),
            scale=said["scaling_factor"],
            image_size=parts["generator"]["latent_size"] * 2 ** (levels - 1),
            shift=said["shift_factor"],
            num_groups=groups,
            mid_attention=said["mid_block_add_attention"],
            quant_conv=said["use_quant_conv"],
            post_quant_conv=said["use_post_quant_conv"],
        )
    )


def table(config: Mapping[str, Any]) -> Table:
    """The rows for as many levels as there are."""
    return kl_autoencoder.diffusers(levels=len(config["ch_mult"]))


NETWORK = Network(title="KL autoencoder", config=config, table=table)
