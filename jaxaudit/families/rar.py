"""RAR as an audit target: the MaskGIT-VQGAN tokenizer and the causal transformer over its tokens."""

from jaxaudit.families import wiring
from jaxaudit.families.contract import Variant
from jaxaudit.families.raster import RasterFamily
from jaxaudit.models import rar
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.targets import HiddenLayers
from jaxaudit.tokenizers import maskgit_vq

PARTITION = (
    *by_columns("qkv", "fc1", "adaLN_modulation_1", "lm_head"),
    *by_rows("attn/proj", "fc2"),
    *by_features("embeddings/embedding"),
)
"""How the parameters are split."""


def _hidden_layers(generator: rar.RARConfig) -> HiddenLayers:
    return wiring.mlp_layers([f"blocks_{i}" for i in range(generator.depth)])


_FAMILY = RasterFamily(
    name="rar",
    configs=(rar.RARConfig, maskgit_vq.MaskGITVQConfig),
    network=rar.RAR,
    tokenizer=maskgit_vq.MaskGITVQ,
    head="lm_head",
    guidance_schedule="cosine",
    hidden_layers=_hidden_layers,
    partition=PARTITION,
    low=0.0,
)

build_target = _FAMILY.build_target
abstract_params = _FAMILY.abstract_params

VARIANTS: dict[str, Variant] = {
    name: _FAMILY.released(facts, maskgit_vq.RELEASED, resize="bicubic")
    for name, facts in rar.VARIANTS.items()
}
"""The released targets by name."""
