"""Stable Diffusion 1.x and 2.x in the files of CompVis: U-Net and KL autoencoder, all in one file.

The text encoder, which such files hold too, is no part of the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoints_convert import kl_autoencoder, unet
from checkpoints_convert.mapping import Table, drop
from checkpoints_convert.records import Conversion, Part, StateDict
from jaxaudit.configs import to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import sd
from jaxaudit.families.sd import VARIANTS

GENERATOR: Table = (
    *unet.table(reads_one_token=False, process=sd.PROCESS),
    (r"cond_stage_model\..+", None, drop),
    (r"scale_factor", None, drop),  # it is in the config
)


def infer_config(states: Mapping[str, StateDict], *, variant: str | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.sd`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      variant: the released model that the files are said to be.

    Raises:
      InputError: as `unet.infer_config` and `unet.latent_scale`, if a tensor that tells the tokenizer's shape
        is missing, or the U-Net reads classes.
    """
    if unet.CLASSES in states["generator"]:
        raise InputError("The U-Net reads classes, not captions; convert it with --family=ldm.")
    config = unet.infer_config(states["generator"], VARIANTS, variant=variant, title="Stable Diffusion U-Net")
    tokenizer = kl_autoencoder.infer_config(
        states["tokenizer"],
        scale=unet.latent_scale(states["generator"], default=sd.LATENT_SCALE),
        latent_size=config["generator"]["latent_size"],
    )
    return {**config, "tokenizer": to_dict(tokenizer)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """That of its training: bicubic, a central square, [-1, 1]."""
    size = config["tokenizer"]["image_size"]
    return Preprocessing(image_size=size, resize="bicubic", short_side=size, low=-1.0, high=1.0)


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="Stable Diffusion U-Net",
            landmarks=(unet.LANDMARK,),
            nestings=("state_dict", ""),
            table=GENERATOR,
            weights=unet.WEIGHTS,
        ),
        "tokenizer": Part(
            title="KL autoencoder",
            landmarks=kl_autoencoder.LANDMARKS_COMPVIS,
            nestings=("state_dict/first_stage_model.", "first_stage_model.", "state_dict", ""),
            table=kl_autoencoder.COMPVIS,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("variant",),
)
