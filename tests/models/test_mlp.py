"""The MLPs: their equations written with NumPy, and the rule by which hidden units are sown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxaudit.families.random_params import random_params
from jaxaudit.models.mlp import MLP, GatedMLP

NORMAL = jax.nn.initializers.normal(0.02)


def plain(dtype):
    return MLP(20, True, dtype, NORMAL)


def gated(dtype):
    return GatedMLP(20, jax.nn.silu, False, dtype, NORMAL)


def gelu(x, approximate):
    if approximate:
        return x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * scipy.stats.norm.cdf(x)


@pytest.mark.parametrize("approximate", [False, True])
def test_equation_and_hidden_units(approximate):
    module = MLP(20, approximate, jnp.float32, NORMAL)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 8), np.float32))
    variables = random_params(jax.eval_shape(module.init, jax.random.key(0), x))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    before = 2 * np.asarray(x, np.float64) @ params["fc1"]["kernel"] + params["fc1"]["bias"]
    hidden = gelu(before, approximate)
    assert np.abs(hidden - gelu(before, not approximate)).max() > 1e-4  # the tolerance tells the forms apart
    out, sown = module.apply(variables, 2 * x, mutable=["activations"])
    assert set(sown) == {"activations"}
    (actual,) = sown["activations"]["hidden"]
    np.testing.assert_allclose(actual, hidden, rtol=1e-5, atol=1e-6)
    expected = hidden @ params["fc2"]["kernel"] + params["fc2"]["bias"]
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_equation_and_hidden_units_of_the_gated_one():
    module = gated(jnp.float32)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 8), np.float32))
    variables = random_params(jax.eval_shape(module.init, jax.random.key(0), x))
    fc1, gate, fc2 = (
        np.asarray(variables["params"][name]["kernel"], np.float64) for name in ("fc1", "gate", "fc2")
    )
    before = np.asarray(x, np.float64) @ gate
    hidden = before / (1 + np.exp(-before)) * (np.asarray(x, np.float64) @ fc1)
    out, sown = module.apply(variables, x, mutable=["activations"])
    (actual,) = sown["activations"]["hidden"]
    np.testing.assert_allclose(actual, hidden, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out, hidden @ fc2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [plain, gated])
def test_initialisation_sows_nothing(make):
    x = jnp.ones((1, 2, 8))
    assert set(make(jnp.float32).init(jax.random.key(0), x)) == {"params"}


@pytest.mark.parametrize("make", [plain, gated])
def test_hidden_units_have_the_compute_dtype(make):
    x = jnp.ones((1, 2, 8))
    module = make(jnp.bfloat16)
    variables = module.init(jax.random.key(0), x)
    out, sown = module.apply(variables, x, mutable=["activations"])
    assert out.dtype == jnp.float32
    assert sown["activations"]["hidden"][0].dtype == jnp.bfloat16


def test_the_second_map_may_have_its_own_initialiser():
    zeros = jax.nn.initializers.zeros
    params = MLP(20, True, jnp.float32, NORMAL, zeros).init(jax.random.key(0), jnp.ones((1, 2, 8)))["params"]
    assert np.any(params["fc1"]["kernel"] != 0)
    assert not np.any(params["fc2"]["kernel"])
