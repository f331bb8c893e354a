"""The VAR transformer against outputs of the official code, and properties."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.families.random_params import random_params
from jaxaudit.models.var import VAR, Block, VARConfig
from tests.golden import weights
from tests.golden.flax_params import flax_params

GOLDEN = VARConfig(
    num_classes=10, depth=2, width=128, num_heads=2, vocab_size=64, token_dim=8, patch_nums=(1, 2, 3, 4, 5)
)
SMALL = VARConfig(
    num_classes=3, depth=2, width=16, num_heads=2, vocab_size=8, token_dim=4, patch_nums=(1, 2, 3)
)
STEPS = (1, 4, 9)


@pytest.fixture(scope="module")
def small():
    """A small model, its variables, teacher-forcing inputs and labels."""
    model = VAR(SMALL)
    inputs = jnp.asarray(np.random.default_rng(0).standard_normal((2, 13, 4), np.float32))
    labels = jnp.array([0, 3])
    return model, random_params(jax.eval_shape(model.init, jax.random.key(0), inputs, labels)), inputs, labels


@pytest.mark.parametrize("case", ["var", "var_shared_aln"])
def test_official_outputs(case):
    config, io = weights.load(case)
    params = jax.tree.map(jnp.asarray, flax_params(weights.state_dict(config, io)))
    labels = weights.inputs(config)["labels"]
    var_input = weights.load("var_tokenizer")[1]["var_input"]
    model = VAR(dataclasses.replace(GOLDEN, shared_aln=case == "var_shared_aln"))

    @jax.jit
    def run(params):
        return model.apply(
            {"params": params},
            jnp.concatenate([var_input, var_input]),
            jnp.concatenate([labels, jnp.full_like(labels, GOLDEN.num_classes)]),
            capture_intermediates=lambda module, _: isinstance(module, Block),
            mutable=["intermediates", "activations"],
        )

    logits, captured = run(params)
    actual = {"logits_cond": logits[:2], "logits_uncond": logits[2:]}
    for i in range(GOLDEN.depth):
        hidden = captured["activations"][f"blocks_{i}"]["ffn"]["hidden"][0]
        actual[f"block{i}_fc1_gelu_cond"] = hidden[:2, ::3, ::4]
        output, _ = captured["intermediates"][f"blocks_{i}"]["__call__"][0]
        actual[f"block{i}_output_cond"] = output[:2, ::3]
    for name, value in actual.items():
        np.testing.assert_allclose(value, io[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_attention_without_unit_length_is_scaled():
    """Without attn_l2_norm the logits are q·k / (4 √d) and there is no learned scale."""
    model = Block(dataclasses.replace(SMALL, attn_l2_norm=False), jnp.float32)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 1, 16), np.float32))
    past = jnp.asarray(np.random.default_rng(1).standard_normal((2, 1, 2, 3, 8), np.float32))
    arguments = (x, x[:, 0], tuple(past), (1,))
    variables = random_params(jax.eval_shape(lambda: model.init(jax.random.key(0), *arguments)))
    attention = variables["params"]["attn"]
    assert set(attention) == {"mat_qkv", "q_bias", "v_bias", "proj"}
    attention["proj"] = {"kernel": jnp.eye(16), "bias": jnp.zeros(16)}
    (_, (k, v)), captured = model.apply(variables, *arguments, capture_intermediates=True)

    modulation = np.asarray(captured["intermediates"]["ada_lin_1"]["__call__"][0]).reshape(6, 16)
    x = np.asarray(x)
    centred = x - x.mean(-1, keepdims=True)
    normed = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-6)
    q = (normed * (1 + modulation[2]) + modulation[4])[0, 0] @ attention["mat_qkv"]["kernel"][:, :16]
    q = np.asarray(q + attention["q_bias"]).reshape(2, 8)
    weight = np.exp(np.einsum("hd,hkd->hk", q, k[0]) / (4 * np.sqrt(8)))
    expected = np.einsum("hk,hkd->hd", weight, v[0]) / weight.sum(-1, keepdims=True)
    actual = captured["intermediates"]["attn"]["__call__"][0][0]
    np.testing.assert_allclose(actual[0, 0], expected.reshape(16), rtol=1e-4, atol=1e-5)


def test_no_gradient_from_later_scales(small):
    model, variables, inputs, labels = small
    hidden = jax.jit(jax.jacrev(lambda x: model.apply(variables, x, labels, method="hidden").sum((0, 2))))
    reach = (
        np.abs(hidden(inputs)).sum((1, 3)) > 0
    )  # [L, L - 1]: does row n depend on input i (of token i + 1)?
    scale = np.repeat(np.arange(3), STEPS)
    np.testing.assert_array_equal(reach, scale[1:][None] <= scale[:, None])


def test_cached_passes_equal_one_pass(small):
    model, variables, inputs, labels = small
    ends = np.cumsum(STEPS)

    @jax.jit
    def run(variables):
        bound = model.bind(variables)
        states, cache = bound.advance(inputs[:, : ends[1] - 1], labels, None, first=0, stop=2)
        last, _ = bound.advance(inputs[:, ends[1] - 1 :], labels, cache, first=2, stop=3)
        return bound.hidden(inputs, labels), jnp.concatenate([states, last], axis=1)

    whole, cached = run(variables)
    np.testing.assert_allclose(cached, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shared_aln", [False, True])
def test_fresh_blocks_are_nearly_the_identity(shared_aln):
    """Gates start at 1e-5 of their usual size, whichever AdaLN is used."""
    block = Block(dataclasses.replace(SMALL, shared_aln=shared_aln), jnp.float32)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 14, 16), np.float32))
    condition = jnp.zeros((2, 1, 6, 16), np.float32) if shared_aln else x[:, 0]

    @jax.jit
    def run(key):
        return block.init_with_output(key, x, condition, None, STEPS)

    (output, _), _ = run(jax.random.key(0))
    assert 0 < jnp.abs(output - x).max() < 1e-3


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="num_heads=3 does not divide width=16"):
        dataclasses.replace(SMALL, num_heads=3)
