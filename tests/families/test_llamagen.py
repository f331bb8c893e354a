"""The LlamaGen family: official outputs through the target, facts of the released variants, and audits."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from checkpoints_convert.llamagen import CONVERSION
from checkpoints_convert.mapping import convert
from jaxaudit.attacks.runner import Scorer
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, llamagen
from jaxaudit.runtime.mesh import make_mesh
from tests import tiny
from tests.golden import weights

CONFIG = {
    "generator": {
        "num_classes": 10,
        "depth": 3,
        "width": 64,
        "num_heads": 4,
        "mlp_width": 192,
        "vocab_size": 64,
        "num_tokens": 64,
    },
    "tokenizer": {"vocab_size": 64, "z_channels": 16, "ch": 32, "ch_mult": [1, 2, 2], "side": 8},
}
PREPROCESSING = Preprocessing(32, "none", 32, -1.0, 1.0)


@functools.cache
def golden():
    """The target of the recorded case, and the inputs and outputs of its two parts."""
    recorded = {
        part: weights.load(case)
        for part, case in (("generator", "llamagen"), ("tokenizer", "llamagen_tokenizer"))
    }
    states = {part: weights.state_dict(*each) for part, each in recorded.items()}
    abstract = llamagen.abstract_params(CONFIG)
    params = {
        part: convert(state, CONVERSION.parts[part].rows(state), abstract[part])
        for part, state in states.items()
    }
    target = llamagen.build_target("golden", CONFIG, jax.tree.map(jnp.asarray, params), PREPROCESSING, {})
    return target, *({**weights.inputs(config), **io} for config, io in recorded.values())


def test_official_tokens_and_pictures():
    target, generator, io = golden()
    tokens = target.encode(np.moveaxis(io["images"], 1, -1))
    np.testing.assert_array_equal(tokens, io["indices"])
    np.testing.assert_array_equal(tokens, generator["tokens"])
    pictures = np.moveaxis(target.decode(tokens), -1, 1)
    np.testing.assert_allclose(pictures[..., ::2, ::2], np.clip(io["decoded"], -1, 1), rtol=1e-4, atol=1e-4)


def test_official_logits_and_greedy_completion():
    target, io, _ = golden()
    for name, labels in ("cond", io["labels"]), ("null", np.full(4, target.null_label)):
        logits = target.logits(io["tokens"], labels)
        np.testing.assert_allclose(logits, io[f"logits_{name}"], rtol=1e-4, atol=1e-4)
    completed = target.complete(io["tokens"], io["labels"], 20)
    np.testing.assert_array_equal(completed, io["greedy_prefix20_tokens"])


def test_activations_are_those_of_the_predicting_positions():
    """The class and all tokens but the last; what a block's MLP adds to the stream is linear in its units."""
    target, io, _ = golden()
    activations = target.activations(io["tokens"], io["labels"])
    assert list(activations) == list(target.hidden_layers) == ["block 0", "block 1", "block 2"]
    for i, units in enumerate(activations.values()):
        assert units.shape == (4, 64, 192)
        added = units @ target.params["generator"][f"layers_{i}"]["feed_forward"]["fc2"]["kernel"]
        np.testing.assert_allclose(added[:, ::3], io[f"layer{i}_feed_forward"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(llamagen.VARIANTS))
def test_released_layouts(name):
    variant = llamagen.VARIANTS[name]
    size = int(name.rsplit("_", 1)[1])
    assert variant.config["generator"]["num_tokens"] == variant.config["tokenizer"]["side"] ** 2
    assert variant.preprocessing == Preprocessing(size, "adm", size, -1.0, 1.0)
    assert f"_{size}.pt" in variant.sources["generator"]
    for part, tree in llamagen.abstract_params(variant.config).items():
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) == variant.num_params[part]


def test_parts_must_fit_each_other():
    assert get_family("llamagen") is llamagen
    larger = {**CONFIG, "tokenizer": {**CONFIG["tokenizer"], "side": 5}}
    with pytest.raises(InputError, match="num_tokens=64, its tokenizer num_tokens=25"):
        llamagen.abstract_params(larger)
    with pytest.raises(InputError, match="makes 256 px pictures; the target reads 32 px"):
        llamagen.build_target("x", CONFIG, {}, llamagen.VARIANTS["llamagen_b_256"].preprocessing, {})


NAMES = ["*/loss", "*/min_k_pp_20", "diff/icas", "cond/unified_loss"]


def batch():
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (11, 8, 8, 3)).astype(np.float32), random.integers(0, 10, 11)


@pytest.mark.slow
def test_scores_of_eight_devices_are_those_of_one():
    images, labels = batch()
    alone = jaxaudit.score(tiny.llamagen_target(), images, labels, names=NAMES)
    spread = (
        Scorer(tiny.llamagen_target(), NAMES, mesh=make_mesh(8))
        .submit(images, labels, padded_size=16)
        .result()
    )
    tokens = tiny.llamagen_target().encode(images)
    log_probs = jax.nn.log_softmax(tiny.llamagen_target().logits(tokens, labels))
    mean = np.take_along_axis(np.asarray(log_probs), np.asarray(tokens)[..., None], 2).mean((1, 2))
    np.testing.assert_allclose(alone["cond/loss"], mean, rtol=1e-5)
    for name, values in alone.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(spread[name], values, atol=1e-5)


def test_bfloat16_is_finite_and_close():
    target = tiny.llamagen_target()
    half = llamagen.build_target(
        "half", tiny.LLAMAGEN_CONFIG, target.params, tiny.DIGITS, {}, dtype=jnp.bfloat16
    )
    tokens = np.random.default_rng(0).integers(0, 24, (3, 16))
    labels = np.array([0, 9, 10])
    np.testing.assert_allclose(half.logits(tokens, labels), target.logits(tokens, labels), atol=0.1)
