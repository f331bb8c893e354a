"""DiT as an audit target: Stable Diffusion's autoencoder and the class-conditional transformer."""

from jaxaudit.families.denoiser import DenoiserFamily
from jaxaudit.families.variant import Variant
from jaxaudit.models import dit
from jaxaudit.targets import Params
from jaxaudit.tokenizers import kl_autoencoder

_FAMILY = DenoiserFamily(name="dit", config=dit.DiTConfig, network=dit.DiT, schedule=dit.TRAINING)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params


def hidden_layers(params: Params) -> tuple[tuple[str, ...], ...]:
    """The path of the linear map before each MLP's GELU, in the order of `activations`."""
    depth = sum(name.startswith("blocks_") for name in params["generator"])
    return tuple(("generator", f"blocks_{i}", "mlp", "fc1") for i in range(depth))


VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, kl_autoencoder.RELEASED["sd-vae-ft-mse"], scale=0.18215)
    for name, facts in dit.VARIANTS.items()
}
"""The released targets by name, with the autoencoder of the published audits."""
