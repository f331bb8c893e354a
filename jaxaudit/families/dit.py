"""DiT as an audit target: Stable Diffusion's autoencoder and the class-conditional transformer."""

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.models import dit
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "linear_beta"}
"""The process of the released models."""

PARTITION = (
    *by_columns("qkv", "fc1", "adaLN_modulation_1", "t_embedder/mlp_0"),
    *by_rows("attn/proj", "fc2", "t_embedder/mlp_2"),
    *by_features("embedding_table/embedding"),
)
"""How the parameters are split."""

_FAMILY = DenoiserFamily(
    name="dit", config=dit.DiTConfig, network=dit.DiT, partition=PARTITION, process=PROCESS
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, kl_autoencoder.RELEASED["sd-vae-ft-mse"], scale=0.18215)
    for name, facts in dit.VARIANTS.items()
}
"""The released targets by name, with the autoencoder of the published audits."""
