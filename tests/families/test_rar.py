"""The RAR family: official outputs through the target, layouts and facts of the released variants."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, rar
from tests.golden import weights
from tests.golden.flax_params import flax_params

CONFIG = {
    "generator": {
        "num_classes": 10,
        "depth": 2,
        "width": 64,
        "num_heads": 4,
        "mlp_width": 256,
        "vocab_size": 64,
        "num_tokens": 16,
    },
    "tokenizer": {"vocab_size": 64, "z_channels": 16, "ch": 64, "side": 4},
}
PREPROCESSING = Preprocessing(64, "none", 64, 0.0, 1.0)


@functools.cache
def golden():
    """The target of the recorded case, its labels and outputs, and inputs and outputs of its tokenizer."""
    config, io = weights.load("rar")
    tokenizer_config, tokenizer_io = weights.load("rar_tokenizer")
    params = {
        "generator": flax_params(weights.state_dict(config, io)),
        "tokenizer": flax_params(weights.state_dict(tokenizer_config, tokenizer_io)),
    }
    target = rar.build_target("golden", CONFIG, jax.tree.map(jnp.asarray, params), PREPROCESSING, {})
    return target, weights.inputs(config), io, tokenizer_io


def test_official_tokens_and_pictures():
    target, inputs, _, io = golden()
    tokens = target.encode(np.moveaxis(inputs["images"], 1, -1))
    np.testing.assert_array_equal(tokens, io["token_indices"])
    pictures = np.moveaxis(target.decode(tokens), -1, 1)
    np.testing.assert_allclose(pictures[:1], io["reconstruction"], rtol=1e-4, atol=1e-4)


def test_official_logits():
    target, inputs, io, tokenizer_io = golden()
    for name, labels in ("cond", inputs["labels"]), ("uncond", np.full(2, target.null_label)):
        logits = target.logits(tokenizer_io["token_indices"], labels)
        np.testing.assert_allclose(logits, io[f"logits_full_{name}"][:, :-1], rtol=1e-4, atol=1e-4)


def test_activations_are_those_of_the_predicting_positions():
    target, inputs, io, tokenizer_io = golden()
    activations = target.activations(tokenizer_io["token_indices"], inputs["labels"])
    assert list(activations) == list(target.hidden_layers) == ["block 0", "block 1"]
    for block, units in enumerate(activations.values()):
        assert units.shape == (2, 16, 256)
        expected = io[f"block{block}_mlp_gelu_cond"][:, 1:-1]  # not the start, not the last token
        np.testing.assert_allclose(units[..., ::2], expected, rtol=1e-4, atol=1e-4)


def test_official_greedy_completion():
    target, inputs, io, tokenizer_io = golden()
    tokens = target.complete(tokenizer_io["token_indices"], inputs["labels"], 3)
    np.testing.assert_array_equal(tokens, io["greedy_top3_tokens"])


def test_golden_layout_is_the_abstract_layout():
    target, *_ = golden()
    abstract = rar.abstract_params(CONFIG)
    assert jax.tree.map(jnp.shape, target.params) == jax.tree.map(jnp.shape, abstract)
    assert target.tokens_per_step == (1,) * 16


@pytest.mark.parametrize("name", sorted(rar.VARIANTS))
def test_released_layouts(name):
    variant = rar.VARIANTS[name]
    for part, tree in rar.abstract_params(variant.config).items():
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) == variant.num_params[part]
    assert variant.preprocessing == Preprocessing(256, "bicubic", 256, 0.0, 1.0)


def test_parts_must_fit_each_other():
    assert get_family("rar") is rar
    larger = {**CONFIG, "tokenizer": {**CONFIG["tokenizer"], "side": 5}}
    with pytest.raises(InputError, match="num_tokens=16, its tokenizer num_tokens=25"):
        rar.abstract_params(larger)
    with pytest.raises(InputError, match="makes 256 px pictures; the target reads 64 px"):
        rar.build_target("x", CONFIG, {}, rar.VARIANTS["rar_b"].preprocessing, {})
