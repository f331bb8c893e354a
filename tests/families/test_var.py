"""The VAR family: official greedy completions, layouts and facts of the released variants, properties."""

import copy
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, var
from jaxaudit.families.random_params import random_params
from tests.golden import weights
from tests.golden.flax_params import flax_params

GENERATOR_PARAMS = {
    "var_d16": 310283520,
    "var_d20": 600917136,
    "var_d24": 1033399360,
    "var_d30": 2010020356,
    "var_d36": 2353893904,
}
SMALL = {
    "generator": {
        "num_classes": 3,
        "depth": 2,
        "width": 16,
        "num_heads": 2,
        "vocab_size": 16,
        "token_dim": 4,
    },
    "tokenizer": {"vocab_size": 16, "z_channels": 4, "ch": 8, "ch_mult": [1, 2], "num_res_blocks": 1},
}
for _part in SMALL.values():
    _part["patch_nums"] = [1, 2, 4]
DIGITS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)


def golden_config(case):
    sizes = {"vocab_size": 64, "patch_nums": [1, 2, 3, 4, 5]}
    return {
        "generator": {
            "num_classes": 10,
            "depth": 2,
            "width": 128,
            "num_heads": 2,
            "token_dim": 8,
            "shared_aln": case == "var_shared_aln",
            **sizes,
        },
        "tokenizer": {"z_channels": 8, "ch": 64, **sizes},
    }


@functools.cache
def golden(case):
    """The target of a recorded case, its labels and outputs, and the tokens of its pictures."""
    config, io = weights.load(case)
    tokenizer_config, tokenizer_io = weights.load("var_tokenizer")
    params = {
        "generator": flax_params(weights.state_dict(config, io)),
        "tokenizer": flax_params(weights.state_dict(tokenizer_config, tokenizer_io)),
    }
    preprocessing = Preprocessing(image_size=80, resize="none", short_side=80, low=-1.0, high=1.0)
    target = var.build_target(
        case, golden_config(case), jax.tree.map(jnp.asarray, params), preprocessing, {"source": "recorded"}
    )
    return target, weights.inputs(config)["labels"], io, tokenizer_io["token_indices"]


@functools.cache
def small(dtype=jnp.float32):
    params = random_params(var.abstract_params(SMALL), seed=3)
    return var.build_target("small", SMALL, params, DIGITS, {}, dtype=dtype)


def some_tokens(rows):
    return np.random.default_rng(0).integers(0, 16, (rows, 21)).astype(np.int32)


@pytest.mark.parametrize(("case", "prefix"), [("var", 0), ("var", 1), ("var", 3), ("var_shared_aln", 3)])
def test_official_greedy_completions(case, prefix):
    target, labels, io, tokens = golden(case)
    np.testing.assert_array_equal(target.complete(tokens, labels, prefix), io[f"greedy_top{prefix}_tokens"])


@pytest.mark.parametrize("case", ["var", "var_shared_aln"])
def test_official_logits(case):
    """Teacher forced: on the picture's tokens, for both views, and on a greedy completion."""
    target, labels, io, tokens = golden(case)
    logits = target.logits(
        np.concatenate([tokens, tokens, io["greedy_top1_tokens"]]),
        np.concatenate([labels, np.full(2, target.null_label), labels]),
    )
    for i, name in enumerate(["logits_cond", "logits_uncond", "greedy_top1_logits"]):
        np.testing.assert_allclose(logits[2 * i : 2 * i + 2], io[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_official_activations():
    target, labels, io, tokens = golden("var")
    activations = target.activations(tokens, labels)
    assert list(activations) == list(target.hidden_layers) == ["block 0", "block 1"]
    for i, hidden in enumerate(activations.values()):
        np.testing.assert_allclose(hidden[:, ::3, ::4], io[f"block{i}_fc1_gelu_cond"], rtol=1e-4, atol=1e-4)


def test_facts_of_a_target():
    target, *_ = golden("var")
    assert (target.family, target.num_classes, target.vocab_size) == ("var", 10, 64)
    assert target.tokens_per_step == (1, 4, 9, 16, 25)
    assert target.provenance == {"source": "recorded"}
    assert jax.tree.map(jnp.shape, target.params) == jax.tree.map(
        jnp.shape, var.abstract_params(golden_config("var"))
    )


@pytest.mark.parametrize("name", sorted(GENERATOR_PARAMS))
def test_released_variants(name):
    variant = var.VARIANTS[name]
    assert variant.num_params == {"generator": GENERATOR_PARAMS[name], "tokenizer": 108948355}
    layout = var.abstract_params(variant.config)
    for part, tree in layout.items():
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) == variant.num_params[part]
    size, side = (512, 576) if name == "var_d36" else (256, 288)
    assert variant.preprocessing == Preprocessing(size, "lanczos", side, -1.0, 1.0)
    assert layout["generator"]["pos_1LC"].shape[1] == (2240 if name == "var_d36" else 680)
    assert variant.sources["generator"].endswith(f"/{name}.pth")


def test_a_completion_is_its_own_greedy_choice():
    target, tokens, labels = small(), some_tokens(2), np.array([1, 3])
    completed = target.complete(tokens, labels, 2)
    kept = sum(target.tokens_per_step[:2])
    np.testing.assert_array_equal(completed[:, :kept], tokens[:, :kept])
    greedy = target.logits(completed, labels).argmax(-1)
    np.testing.assert_array_equal(completed[:, kept:], greedy[:, kept:])


def test_a_full_prefix_is_kept():
    tokens = some_tokens(2)
    np.testing.assert_array_equal(small().complete(tokens, np.array([0, 1]), 3), tokens)


def test_a_score_does_not_depend_on_the_rest_of_the_batch():
    """One image at a time, tokens and logits are bit-identical alone, in a batch, and a second time."""
    target = var.build_target("small", SMALL, small().params, DIGITS, {})
    images = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32)
    labels = np.array([0, 3, 2])
    tokens = target.encode(images)
    logits = target.logits(tokens, labels)
    np.testing.assert_array_equal(target.encode(images[1:2]), tokens[1:2])
    np.testing.assert_array_equal(target.logits(tokens[1:2], labels[1:2]), logits[1:2])
    np.testing.assert_array_equal(target.logits(tokens, labels), logits)


def test_decoding_stays_in_range():
    images = small().decode(some_tokens(2))
    assert images.shape == (2, 8, 8, 3)
    assert images.dtype == jnp.float32
    assert jnp.abs(images).max() <= 1


def test_equal_configs_share_their_functions():
    again = var.build_target("again", copy.deepcopy(SMALL), small().params, DIGITS, {})
    assert again.functions == small().functions
    assert small(jnp.bfloat16).functions != small().functions


def test_bfloat16_keeps_logits_in_float32():
    tokens, labels = some_tokens(2), np.array([0, 1])
    exact, rounded = small().logits(tokens, labels), small(jnp.bfloat16).logits(tokens, labels)
    assert rounded.dtype == jnp.float32
    assert 0 < jnp.abs(rounded - exact).max() < 0.05 * jnp.abs(exact).max()


@pytest.mark.parametrize(
    ("part", "field", "value", "message"),
    [
        ("generator", "dept", 3, "Unknown VARConfig field 'dept'; did you mean depth"),
        ("generator", "vocab_size", 17, "vocab_size=17, its tokenizer vocab_size=16"),
        ("tokenizer", "z_channels", 8, "token_dim=4, its tokenizer z_channels=8"),
        ("tokenizer", "patch_nums", [1, 4], "patch_nums"),
    ],
)
def test_configs_that_do_not_fit(part, field, value, message):
    config = copy.deepcopy(SMALL)
    config[part][field] = value
    with pytest.raises(InputError, match=message):
        var.abstract_params(config)


def test_preprocessing_must_make_what_the_tokenizer_reads():
    wrong = Preprocessing(image_size=16, resize="none", short_side=16, low=-1.0, high=1.0)
    with pytest.raises(InputError, match="makes 16 px pictures; the target reads 8 px"):
        var.build_target("small", SMALL, small().params, wrong, {})


def test_unknown_family():
    assert get_family("var") is var
    with pytest.raises(InputError, match="Unknown family 'vqr'; did you mean var"):
        get_family("vqr")


def test_random_params():
    abstract = var.abstract_params(SMALL)
    params = random_params(abstract, seed=3)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), abstract
    )
    jax.tree.map(np.testing.assert_array_equal, params, random_params(abstract, seed=3))
    blocks = [params["generator"][f"blocks_{i}"]["ffn"]["fc1"]["kernel"] for i in range(2)]
    assert np.std(blocks[0]) == pytest.approx(1 / 4, rel=0.1)
    assert jnp.abs(blocks[0] - blocks[1]).min() > 0
    assert (params["tokenizer"]["encoder"]["norm_out"]["scale"] == 1).all()
