"""The RAR transformer against outputs of the official code, and properties of causal decoding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.models.greedy import complete
from jaxaudit.models.rar import RAR, RARConfig, _Block
from tests.golden import weights
from tests.golden.flax_params import flax_params

CONFIG = RARConfig(
    num_classes=10, depth=2, width=64, num_heads=4, mlp_width=256, vocab_size=64, num_tokens=16
)
MODEL = RAR(CONFIG)
NULL = CONFIG.num_classes


@functools.cache
def golden():
    """Parameters, labels, recorded outputs, and the tokens they were recorded for."""
    config, io = weights.load("rar")
    params = jax.tree.map(jnp.asarray, flax_params(weights.state_dict(config, io)))
    tokens = weights.load("rar_tokenizer")[1]["token_indices"]
    return params, jnp.asarray(weights.inputs(config)["labels"]), io, jnp.asarray(tokens)


logits_of = jax.jit(lambda params, tokens, labels: MODEL.apply({"params": params}, tokens, labels))
greedy = jax.jit(functools.partial(complete, MODEL), static_argnums=3)


def test_official_outputs():
    params, labels, io, tokens = golden()

    @jax.jit
    def run(params):
        return MODEL.apply(
            {"params": params},
            jnp.concatenate([tokens, tokens]),
            jnp.concatenate([labels, jnp.full_like(labels, NULL)]),
            capture_intermediates=lambda module, _: isinstance(module, _Block),
            mutable=["intermediates", "activations"],
        )

    logits, captured = run(params)
    expected = {"logits_full_cond": logits[:2], "logits_full_uncond": logits[2:]}
    for i in range(2):
        hidden = captured["activations"][f"blocks_{i}"]["mlp"]["hidden"][0]
        expected[f"block{i}_mlp_gelu_cond"] = hidden[:2, :, ::2]
        output, _ = captured["intermediates"][f"blocks_{i}"]["__call__"][0]
        expected[f"block{i}_output_cond"] = output[:2]
    log_probs = jax.nn.log_softmax(logits[:2, :-1])
    expected["wrapper_loss_per_token_cond"] = -jnp.take_along_axis(log_probs, tokens[..., None], 2)[..., 0]
    for name, actual in expected.items():
        np.testing.assert_allclose(actual, io[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("prefix", [0, 8])
def test_official_greedy_completions(prefix):
    params, labels, io, tokens = golden()
    np.testing.assert_array_equal(greedy(params, tokens, labels, prefix), io[f"greedy_top{prefix}_tokens"])


def test_official_logits_of_a_completion():
    """Teacher forcing on a greedy completion gives the logits that the official cached decoding saw."""
    params, labels, io, _ = golden()
    logits = logits_of(params, io["greedy_top3_tokens"], labels)
    np.testing.assert_allclose(logits[:, :-1], io["greedy_top3_logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prefix", [0, 15, 16])
def test_greedy_completion_is_a_fixed_point(prefix):
    """Every completed token is the most likely one under a full pass over the result; the prefix stays."""
    params, labels, _, tokens = golden()
    result = greedy(params, tokens, np.array([labels[0], NULL]), prefix)
    best = logits_of(params, result, np.array([labels[0], NULL]))[:, :-1].argmax(-1)
    np.testing.assert_array_equal(result[:, :prefix], tokens[:, :prefix])
    np.testing.assert_array_equal(result[:, prefix:], best[:, prefix:])


def test_cached_steps_equal_the_full_pass():
    params, labels, _, tokens = golden()
    prefix = 5
    call = jax.jit(
        lambda method, *args: MODEL.apply({"params": params}, *args, method=method), static_argnums=0
    )
    states, cache = call("prefill", tokens[:, :prefix], labels)
    cache = jax.tree.map(lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, 16 - prefix), (0, 0))), cache)
    rows = [states]
    for i in range(prefix, 16):
        state, cache = call("step", tokens[:, i], labels, i, cache)
        rows.append(state[:, None])
    full = call("hidden", tokens, labels)
    np.testing.assert_allclose(np.concatenate(rows, axis=1), full, rtol=1e-5, atol=1e-5)


def test_no_token_sees_its_future():
    """The gradient of row n by the embedding of token m is zero for m ≥ n, and not for m < n."""
    params, labels, _, _ = golden()
    tokens = jnp.arange(16)[None]  # all different, so that embedding row m is token m

    def rows(table):
        logits = MODEL.apply({"params": {**params, "embeddings": {"embedding": table}}}, tokens, labels[:1])
        return jnp.square(logits[0]).sum(-1)

    gradients = jax.jit(jax.jacrev(rows))(params["embeddings"]["embedding"])
    influence = np.abs(gradients[:, :16]).sum(-1)
    np.testing.assert_array_equal(influence > 0, np.tri(17, 16, -1, dtype=bool))


def test_scoring_twice_is_bit_identical():
    params, labels, _, tokens = golden()
    first, second = (np.asarray(logits_of(params, tokens, labels)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_bfloat16_stays_close_and_keeps_float32_logits():
    params, labels, io, tokens = golden()
    logits = jax.jit(RAR(CONFIG, jnp.bfloat16).apply)({"params": params}, tokens, labels)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, io["logits_full_cond"], atol=0.3)


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="num_heads=5 does not divide width=64"):
        RARConfig(width=64, num_heads=5)
