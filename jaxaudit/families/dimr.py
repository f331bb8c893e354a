"""DiMR as an audit target: Stable Diffusion's autoencoder and the network of two resolutions."""

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.models import dimr
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "scaled_linear_beta", "first_time": 1}
"""The process of the released models, U-ViT's; at level t their time n is t + 1."""

PARTITION = (
    *by_columns("qkv", "fc1", "gate", r"(coarse|fine)_skips_\d+", "upsample/linear"),
    *by_rows("attn/proj", "fc2"),
    *by_features("class_embeds/embedding"),
)
"""How the parameters are split."""

SCALE = 0.18215
"""What the latents of a released model are multiplied with."""

_FAMILY = DenoiserFamily(
    name="dimr", config=dimr.DiMRConfig, network=dimr.DiMR, partition=PARTITION, process=PROCESS
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, kl_autoencoder.RELEASED["autoencoder_kl"], scale=SCALE)
    for name, facts in dimr.VARIANTS.items()
}
"""The released targets by name, with the autoencoder that made their training's latents."""
