"""DiT-MoE as an audit target: Stable Diffusion's autoencoder and a transformer with mixtures of experts.

The small models are diffusions, the large ones flows, told the share of the noise as their time; their
configs say so. Hidden units are those of the shared expert of each block, which every token passes.
"""

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.models import dit_moe
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "linear_beta"}
"""The process of the small models."""

FLOW = {"name": "linear_flow"}
"""That of the large ones, which normalise queries and keys."""

PARTITION = (
    *by_columns("qkv", "gate_proj", "up_proj", "adaLN_modulation_1", "t_embedder/mlp_0"),
    *by_rows("attn/proj", "down_proj", "t_embedder/mlp_2"),
    *by_features("embedding_table/embedding"),
)
"""How the parameters are split."""

_FAMILY = DenoiserFamily(
    name="dit_moe",
    config=dit_moe.DiTMoEConfig,
    network=dit_moe.DiTMoE,
    partition=PARTITION,
    process=PROCESS,
    first="moe/shared_experts/up_proj",
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(
        facts,
        kl_autoencoder.RELEASED["sd-vae-ft-mse"],
        scale=0.18215,
        process=FLOW if facts.config.qk_norm else None,
    )
    for name, facts in dit_moe.VARIANTS.items()
}
"""The released targets by name, with their autoencoder."""
