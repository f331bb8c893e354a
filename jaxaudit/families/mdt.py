"""MDT as an audit target: Stable Diffusion's autoencoder and the transformer trained with hidden tokens."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxaudit.families.contract import Variant
from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.models import mdt
from jaxaudit.models.attention_backend import AttentionBackend
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.tokenizers import kl_autoencoder

PROCESS = {"name": "linear_beta"}
"""The process of the released models."""

PARTITION = (
    *by_columns("qkv", "fc1", "adaLN_modulation_1", "skip_linear", "t_embedder/mlp_0"),
    *by_rows("attn/proj", "fc2", "t_embedder/mlp_2"),
    *by_features("embedding_table/embedding"),
)
"""How the parameters are split."""


def _network(
    config: mdt.MDTConfig, dtype: DTypeLike = jnp.float32, backend: AttentionBackend = "xla"
) -> mdt.MDT:
    """Its attention has biases, so there is one backend."""
    del backend
    return mdt.MDT(config, dtype)


_FAMILY = DenoiserFamily(
    name="mdt",
    config=mdt.MDTConfig,
    network=_network,
    partition=PARTITION,
    process=PROCESS,
    biased=True,
    hides_tokens=True,
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, kl_autoencoder.RELEASED["sd-vae-ft-mse"], scale=0.18215)
    for name, facts in mdt.VARIANTS.items()
}
"""The released targets by name, with the autoencoder of their published samples."""
