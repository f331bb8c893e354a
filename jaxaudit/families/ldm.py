"""Class-conditional latent diffusion as an audit target: the U-Net beside a VQ first stage.

The generator predicts the noise in latents that are not quantised; their decoder quantises. LDM-8 was never
trained without a class and so has no null label; LDM-4 has one.
"""

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import wiring
from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.models import unet
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.tokenizers import vq_autoencoder

PROCESS = {"name": "scaled_linear_beta", "first": 0.0015, "last": 0.0195}
"""The process of the released models."""

PARTITION = (
    *by_columns("conv1", "time", "shortcut", "(down|up)sample_[0-9]+/conv", "time_embed/mlp_0"),
    *by_columns("proj_in", "to_q", "to_k", "to_v", "fc1", "gate"),
    *by_rows("conv2", "proj_out", "to_out", "fc2", "time_embed/mlp_2"),
    *by_features("class_embed/embedding"),
)
"""How the parameters of a U-Net are split."""

_FAMILY = DenoiserFamily(
    name="ldm",
    config=unet.UNetConfig,
    network=unet.UNet,
    partition=PARTITION,
    process=PROCESS,
    tokenizer=vq_autoencoder.VQAutoencoderConfig,
    autoencoder=vq_autoencoder.VQAutoencoder,
    quantise="quantized",
    has_null_label=lambda config: config.null_label,
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


def preprocessing(image_size: int) -> Preprocessing:
    """That of the published audits: bilinear to the short side, a central square, [-1, 1]."""
    return Preprocessing(image_size=image_size, resize="bilinear", short_side=image_size, low=-1.0, high=1.0)


def _released(name: str, first_stage: str) -> Variant:
    facts, autoencoder = unet.LATENT_DIFFUSION[name], vq_autoencoder.RELEASED[first_stage]
    return wiring.released(facts, autoencoder, preprocessing(autoencoder.config.image_size))


VARIANTS: dict[str, Variant] = {
    "ldm_8_cin256": _released("ldm_8_cin256", "vq_f8"),
    "ldm_4_cin256": _released("ldm_4_cin256", "vq_f4"),
}
"""The released targets by name."""
