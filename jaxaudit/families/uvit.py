"""U-ViT as an audit target: Stable Diffusion's autoencoder and the transformer with long skip connections.

The models of ImageNet read labels, those of MS-COCO captions (the last hidden states of CLIP ViT-L/14's text
encoder, [77,768]) or nothing.
"""

from jaxaudit.data.preprocessing import Resize
from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.models import uvit
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "scaled_linear_beta", "first_time": 1}
"""The process of the released models, that of Stable Diffusion; at level t their time n is t + 1."""

PARTITION = (
    *by_columns("qkv", "fc1", "skip_linear"),
    *by_rows("attn/proj", "fc2"),
    *by_features("label_emb/embedding"),
)
"""How the parameters are split."""

_FAMILY = DenoiserFamily(
    name="uvit", config=uvit.UViTConfig, network=uvit.UViT, partition=PARTITION, process=PROCESS
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


def latent_scale(config: uvit.UViTConfig) -> float:
    """What the latents of a released model are multiplied with: captions 0.2301, others 0.18215."""
    return 0.2301 if config.context_length else 0.18215


def resize(config: uvit.UViTConfig) -> Resize:
    """How the pictures of a released model are resized: ImageNet (labels) as ADM does, MS-COCO by Lanczos.

    Source: https://github.com/baofff/U-ViT, datasets.py (`center_crop_arr`, `center_crop`).
    """
    return "adm" if config.num_classes else "square_lanczos"


def _released(facts: ModelVariant) -> Variant:
    return _FAMILY.released(
        facts,
        kl_autoencoder.RELEASED["autoencoder_kl"],
        scale=latent_scale(facts.config),
        resize=resize(facts.config),
    )


VARIANTS: dict[str, Variant] = {name: _released(facts) for name, facts in uvit.VARIANTS.items()}
"""The released targets by name."""
