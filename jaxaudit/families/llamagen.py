"""LlamaGen as an audit target: its VQ-16 tokenizer and the class-conditional Llama over the tokens."""

from jaxaudit.families.contract import Variant
from jaxaudit.families.raster import RasterFamily
from jaxaudit.models import llamagen
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.targets import HiddenLayers
from jaxaudit.tokenizers import llamagen_vq

PARTITION = (
    *by_columns("wqkv", "fc1", "gate", "output"),
    *by_rows("wo", "fc2"),
    *by_features("cls_embedding/embedding", "tok_embeddings/embedding"),
)
"""How the parameters are split."""


def _hidden_layers(generator: llamagen.LlamaGenConfig) -> HiddenLayers:
    """A unit of a gated MLP is linear in `fc1`, by which it is scaled."""
    return {
        f"block {i}": ("generator", block, "feed_forward", "fc1") for i, block in enumerate(generator.blocks)
    }


_FAMILY = RasterFamily(
    name="llamagen",
    configs=(llamagen.LlamaGenConfig, llamagen_vq.LlamaGenVQConfig),
    network=llamagen.LlamaGen,
    tokenizer=llamagen_vq.LlamaGenVQ,
    head="output",
    guidance_schedule="constant",
    hidden_layers=_hidden_layers,
    partition=PARTITION,
    features="directions",
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params

VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, llamagen_vq.RELEASED, resize="adm")
    for name, facts in llamagen.VARIANTS.items()
}
"""The released targets by name."""
