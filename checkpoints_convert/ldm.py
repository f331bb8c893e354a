"""Class-conditional latent diffusion: U-Net, embedding of classes and VQ first stage, all in one file.

`--weights=raw` takes the weights that Dubiński et al. 2025 audited; published samples are of the
moving average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkpoints_convert import unet, vq_autoencoder
from checkpoints_convert.mapping import Table, drop, keep
from checkpoints_convert.records import Conversion, Part, StateDict
from jaxaudit.configs import to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import ldm
from jaxaudit.families.ldm import VARIANTS

GENERATOR: Table = (
    *unet.table(reads_one_token=True, process=ldm.PROCESS),
    (r"cond_stage_model\.embedding\.weight", "class_embed/embedding", keep),
    (r"scale_factor", None, drop),  # that of `infer_config`
)


def infer_config(states: Mapping[str, StateDict], *, variant: str | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.ldm`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      variant: the released model that the files are said to be.

    Raises:
      InputError: as `unet.infer_config`, if a tensor that tells the tokenizer's shape is missing, or the
        latents are scaled.
    """
    unet.check_latent_scale(states["generator"], only=1.0)
    config = unet.infer_config(
        states["generator"], VARIANTS, variant=variant, title="class-conditional latent-diffusion U-Net"
    )
    tokenizer = vq_autoencoder.infer_config(
        states["tokenizer"], latent_size=config["generator"]["latent_size"]
    )
    return {**config, "tokenizer": to_dict(tokenizer)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """That of the published audits."""
    return ldm.preprocessing(config["tokenizer"]["image_size"])


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="class-conditional latent-diffusion U-Net",
            landmarks=(unet.LANDMARK, unet.CLASSES),
            nestings=("state_dict", ""),
            table=GENERATOR,
            weights=unet.WEIGHTS,
        ),
        "tokenizer": Part(
            title="VQ first stage",
            landmarks=vq_autoencoder.LANDMARKS,
            nestings=("state_dict/first_stage_model.", "first_stage_model.", "state_dict", ""),
            table=vq_autoencoder.TABLE,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("variant",),
)
