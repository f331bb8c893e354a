"""The LlamaGen transformer against outputs of the official code, and properties of causal decoding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.llamagen import GENERATOR
from checkpoints_convert.mapping import convert
from jaxaudit.errors import InputError
from jaxaudit.models.greedy import complete
from jaxaudit.models.llamagen import Attention, Block, LlamaGen, LlamaGenConfig
from jaxaudit.models.mlp import GatedMLP
from tests.golden import weights

CONFIG = LlamaGenConfig(
    num_classes=10, depth=3, width=64, num_heads=4, mlp_width=192, vocab_size=64, num_tokens=64
)
MODEL = LlamaGen(CONFIG)
NULL = CONFIG.num_classes


@functools.cache
def golden():
    """Parameters, tokens, labels and recorded outputs."""
    config, io = weights.load("llamagen")
    inputs = {name: jnp.asarray(value) for name, value in weights.inputs(config).items()}
    abstract = jax.eval_shape(MODEL.init, jax.random.key(0), inputs["tokens"], inputs["labels"])["params"]
    params = jax.tree.map(jnp.asarray, convert(weights.state_dict(config, io), GENERATOR, abstract))
    return params, inputs["tokens"], inputs["labels"], io


def close(actual, expected, message=""):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4, err_msg=message)


@jax.jit
def logits_of(params, tokens, labels):
    """Row i predicts token i, for those there are."""
    return MODEL.apply({"params": params}, tokens[:, :-1], labels)


greedy = jax.jit(functools.partial(complete, MODEL), static_argnums=3)


def test_official_outputs():
    params, tokens, labels, io = golden()

    @jax.jit
    def run(params):
        return MODEL.apply(
            {"params": params},
            tokens,
            labels,
            capture_intermediates=lambda module, _: isinstance(module, Attention | Block | GatedMLP),
            mutable=["intermediates"],
        )

    logits, captured = run(params)
    assert logits.shape == (4, 65, 64)
    close(logits[:, :-1], io["logits_cond"])
    close(logits_of(params, tokens, jnp.full_like(labels, NULL)), io["logits_null"])
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits[:, :-1]), tokens[..., None], 2)[..., 0]
    close(log_probs, io["token_log_probs"])
    close(params["cls_embedding"]["embedding"][labels][:, None], io["class_embedding"])
    for i in range(3):
        layer = captured["intermediates"][f"layers_{i}"]
        outputs = {
            "attention": layer["attention"]["__call__"][0][0],
            "feed_forward": layer["feed_forward"]["__call__"][0],
            "out": layer["__call__"][0][0],
        }
        for name, output in outputs.items():
            close(output[:, ::3], io[f"layer{i}_{name}"], f"{name} of layer {i}")


def test_official_rotations():
    _, _, _, io = golden()
    np.testing.assert_allclose(CONFIG.rotations, io["rope_table"], atol=1e-6)
    assert not CONFIG.rotations[0].any()


@pytest.mark.parametrize("prefix", [0, 5])
def test_official_greedy_completions(prefix):
    params, tokens, labels, io = golden()
    expected = io[f"greedy_prefix{prefix}_tokens"]
    np.testing.assert_array_equal(greedy(params, tokens, labels, prefix), expected)


def test_official_logits_of_a_completion():
    """Teacher forcing on a greedy completion gives the logits that the official cached decoding saw."""
    params, _, labels, io = golden()
    logits = logits_of(params, io["greedy_prefix5_tokens"], labels)
    close(logits[:, ::3], io["greedy_prefix5_logits"])


def test_official_guided_generation():
    """Each token is the largest of null + 2 (cond - null), given those before."""
    params, _, labels, io = golden()
    tokens = io["generate_cfg2_tokens"]
    cond, null = (logits_of(params, tokens, each) for each in (labels[:2], jnp.full(2, NULL)))
    np.testing.assert_array_equal((null + 2 * (cond - null)).argmax(-1), tokens)


def test_no_token_sees_its_future():
    """The gradient of row n by the embedding of token m is zero for m ≥ n, and not for m < n."""
    params, _, labels, _ = golden()
    tokens = jnp.arange(12)[None]  # all different, so that embedding row m is token m

    def rows(table):
        changed = {**params, "tok_embeddings": {"embedding": table}}
        return jnp.square(MODEL.apply({"params": changed}, tokens, labels[:1])[0]).sum(-1)

    gradients = jax.jit(jax.jacrev(rows))(params["tok_embeddings"]["embedding"])
    influence = np.abs(gradients[:, :12]).sum(-1)
    np.testing.assert_array_equal(influence > 0, np.tri(13, 12, -1, dtype=bool))


def test_bfloat16_stays_close_and_keeps_float32_logits():
    params, tokens, labels, io = golden()
    logits = jax.jit(LlamaGen(CONFIG, jnp.bfloat16).apply)({"params": params}, tokens[:, :-1], labels)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, io["logits_cond"], atol=0.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 5}, "num_heads=5 does not divide width=64"),
        ({"num_heads": 32}, "num_heads=32 does not divide width=64 into heads of a multiple of four"),
        ({"num_tokens": 15}, "num_tokens=15 is no square"),
    ],
)
def test_impossible_shapes(change, message):
    with pytest.raises(InputError, match=message):
        LlamaGenConfig(**{"width": 64, "num_heads": 4} | change)
