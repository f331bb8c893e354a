"""LFM as an audit target: DiT's network, trained to predict the velocity from data to noise.

Its time is the share of the noise, 0 for data and 1 for noise. At the data end a spread of 1e-5 is left.

Of the released models this is the class-conditional one for ImageNet; the others are of single domains.
Source: Dao et al., "Flow matching in latent space", 2023 (arXiv 2307.08698).
"""

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.families.dit import PARTITION
from jaxaudit.models.dit import DiT, DiTConfig
from jaxaudit.models.variant import ModelVariant
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "linear_flow", "least_spread": 1e-5}
"""The process of the released model."""

_FAMILY = DenoiserFamily(name="lfm", config=DiTConfig, network=DiT, partition=PARTITION, process=PROCESS)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params

RELEASED: dict[str, ModelVariant] = {
    "lfm_b_2_256": ModelVariant(
        config=DiTConfig(depth=12, width=768, num_heads=12, learned_variance=False),
        num_params=130_500_112,
        source="https://github.com/VinAIResearch/LFM",
        licence="AGPL-3.0-only",
    ),
}
"""The released network (`imnet_f8_ditb2/model_875.pth`); parameters with the fixed positions."""

VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, kl_autoencoder.RELEASED["sd-vae-ft-mse"], scale=0.18215)
    for name, facts in RELEASED.items()
}
"""The released target by name, with its autoencoder; the crop of pictures is DiT's."""
