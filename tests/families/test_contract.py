"""What every family promises, asked of every family: the house asks for nothing else."""

import inspect

import jax
import jax.numpy as jnp
import pytest

from jaxaudit.data import Preprocessing
from jaxaudit.families import FAMILIES, Family, Variant
from jaxaudit.targets import Target
from tests import tiny

PARTS = {"generator", "tokenizer"}


def smallest(family):
    return min(family.VARIANTS.values(), key=lambda variant: variant.num_params["generator"])


def parameters(signature):
    return [(each.name, each.kind, each.default) for each in signature.parameters.values()]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_what_the_contract_lists_with_the_same_parameters(name):
    family = FAMILIES[name]
    assert isinstance(family, Family)
    for function in ("abstract_params", "build_target"):
        _, *contract = parameters(inspect.signature(getattr(Family, function)))  # without self
        assert parameters(inspect.signature(getattr(family, function))) == contract


@pytest.mark.parametrize("name", FAMILIES)
def test_a_variant_becomes_a_target_of_that_family_with_the_facts_every_target_has(name):
    family = FAMILIES[name]
    variant = smallest(family)
    assert isinstance(variant, Variant)
    assert set(variant.config) == set(variant.num_params) == set(variant.sources) == PARTS
    shapes = family.abstract_params(variant.config)
    assert {part: sum(leaf.size for leaf in jax.tree.leaves(shapes[part])) for part in PARTS} == dict(
        variant.num_params
    )
    target = family.build_target("released", variant.config, shapes, variant.preprocessing, {})
    assert isinstance(target, Target)
    assert (target.name, target.family) == ("released", name)
    assert (target.kind == "diffusion") == (target.tokens_per_step == ())
    assert (target.kind == "discrete") == (target.latent_shape is None)
    assert target.context_shape is None or target.num_classes == 0


BLOCKS = {"num_classes": 3, "depth": 2, "width": 16, "num_heads": 2}
UNET = {
    "context_dim": 6,
    "width": 8,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attention_levels": [1],
    "heads": [1, 2],
    "latent_size": 4,
    "latent_channels": 3,
}
CONFIGS = {
    "dimr": {
        "generator": BLOCKS
        | {"depth": 3, "fine_depth": 1, "fine_width": 8, "latent_size": 4, "latent_channels": 3},
        "tokenizer": None,
    },
    "dit": {"generator": BLOCKS | {"latent_size": 4, "latent_channels": 3}, "tokenizer": None},
    "ldm": {"generator": UNET | {"num_classes": 3}, "tokenizer": None},
    "sd": {"generator": UNET | {"num_classes": 0, "context_length": 2}, "tokenizer": None},
    "mdt": {
        "generator": BLOCKS | {"depth": 3, "decoder_depth": 1, "latent_size": 4, "latent_channels": 3},
        "tokenizer": None,
    },
    "dit_moe": {"generator": BLOCKS | {"latent_size": 4, "latent_channels": 3}, "tokenizer": None},
    "lfm": {"generator": BLOCKS | {"latent_size": 4, "latent_channels": 3}, "tokenizer": None},
    "sit": {"generator": BLOCKS | {"latent_size": 4, "latent_channels": 3}, "tokenizer": None},
    "uvit": {"generator": BLOCKS | {"latent_size": 4, "latent_channels": 3}, "tokenizer": None},
    "var": tiny.VAR_CONFIG,
    "rar": tiny.RAR_CONFIG,
    "llamagen": tiny.LLAMAGEN_CONFIG,
    "mar": tiny.MAR_CONFIG,
}


def condition(target):
    return ((1, *target.context_shape), float) if target.context_shape else ((1,), jnp.int32)


INPUTS = {
    "discrete": lambda target: [((1, target.num_tokens), jnp.int32), ((1,), jnp.int32)],
    "continuous": lambda target: [((1, *target.latent_shape), float), ((1,), jnp.int32), ((1, 3), jnp.int32)],
    "diffusion": lambda target: [((1, *target.latent_shape), float), ((), jnp.int32), condition(target)],
}
"""Shapes and dtypes of what `activations` takes, by the kind of target."""


@pytest.mark.parametrize("name", FAMILIES)
def test_activations_show_the_units_of_the_hidden_layers(name):
    family, config = FAMILIES[name], CONFIGS[name]
    params = family.abstract_params(config)
    size = 8 if config["tokenizer"] else 4
    target = family.build_target("tiny", config, params, Preprocessing(size, "none", size, -1.0, 1.0), {})
    inputs = [jax.ShapeDtypeStruct(*each) for each in INPUTS[target.kind](target)]
    shown = jax.eval_shape(target.functions.activations, params, *inputs)
    assert {layer: hidden.shape[-1] for layer, hidden in shown.items()} == target.hidden_widths
    assert len(target.hidden_layers) >= config["generator"].get("depth", 2)
