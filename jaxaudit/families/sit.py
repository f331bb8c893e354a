"""SiT as an audit target: DiT's network, trained to predict the velocity from noise to data.

Its time is the share of the data, 0 for noise and 1 for data. The released network has twice the channels of
a latent; the first half is the velocity, the other was trained by nothing and is left out.

A checkpoint of SiT has the names and shapes of one of DiT, so that a file does not tell its family.
Source: Ma et al., "SiT: exploring flow and diffusion-based generative models with scalable interpolant
transformers", ECCV 2024 (arXiv 2401.08740).
"""

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.families.dit import PARTITION
from jaxaudit.models.dit import DiT, DiTConfig
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "linear_flow", "time_of": "data"}
"""The process of the released model."""

_FAMILY = DenoiserFamily(name="sit", config=DiTConfig, network=DiT, partition=PARTITION, process=PROCESS)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params

RELEASED: dict[str, ModelVariant] = {
    "sit_xl_2_256": ModelVariant(
        config=DiTConfig(),
        num_params=675_129_632,
        source=(
            "https://www.dl.dropboxusercontent.com/scl/fi/as9oeomcbub47de5g4be0/SiT-XL-2-256.pt"
            "?rlkey=uxzxmpicu46coq3msb17b9ofa&dl=0"
        ),
        licence="MIT",
    ),
}
"""The released network, trained on ImageNet; parameters with the fixed positions."""

VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, kl_autoencoder.RELEASED["sd-vae-ft-mse"], scale=0.18215)
    for name, facts in RELEASED.items()
}
"""The released target by name, with the autoencoder that its authors sample with."""
