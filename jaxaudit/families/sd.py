"""Stable Diffusion 1.x and 2.x as audit targets: the U-Net of captions beside a KL autoencoder.

Captions come as the last hidden states of the text encoder, [T,D] each: CLIP ViT-L/14's [77,768] (1.x), the
last but one of OpenCLIP ViT-H/14's [77,1024] (2.x).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.families.ldm import PARTITION
from jaxaudit.models import unet
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "scaled_linear_beta"}
"""The process of the released models that predict the noise."""

V_PREDICTION = {**PROCESS, "predicts": "v"}
"""That of the others (2.x at 768 px)."""

LATENT_SCALE = 0.18215
"""What the latents of its autoencoder are multiplied with."""

_FAMILY = DenoiserFamily(
    name="sd", config=unet.UNetConfig, network=unet.UNet, partition=PARTITION, process=PROCESS
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


def _released(facts: ModelVariant, **declared: Mapping[str, Any]) -> Variant:
    autoencoder = dataclasses.replace(kl_autoencoder.RELEASED["autoencoder_kl"], source=facts.source)
    variant = _FAMILY.released(facts, autoencoder, scale=LATENT_SCALE, resize="bicubic")
    return dataclasses.replace(variant, config={**variant.config, **declared})


VARIANTS: dict[str, Variant] = {
    "sd_1_4": _released(unet.STABLE_DIFFUSION["sd_1_4"]),
    "sd_1_5": _released(unet.STABLE_DIFFUSION["sd_1_5"]),
    "sd_2_1_base": _released(unet.STABLE_DIFFUSION["sd_2_1_base"]),
    "sd_2_1": _released(unet.STABLE_DIFFUSION["sd_2_1"], process=V_PREDICTION),
}
"""The released targets by name; generator and autoencoder are in one file. Pictures as in their training."""
