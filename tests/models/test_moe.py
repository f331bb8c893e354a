"""The mixture of experts against all experts on all tokens, and what it does not depend on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.models.moe import Kernels, SparseMoE, apply_chosen, grouped_matmul
from jaxaudit.runtime.flops import count_flops

E, K, C, F = 5, 2, 6, 7
RANDOM = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RANDOM.standard_normal(shape), jnp.float32)


EXPERTS = [Kernels(normal(C, F), normal(C, F), normal(F, C)) for _ in range(E)]


def dense(x, chosen, experts):
    """A loop over tokens and their experts."""
    out = np.zeros((*chosen.shape, C))
    for token, mine in enumerate(np.asarray(chosen)):
        for place, e in enumerate(mine):
            gate, up, down = (np.asarray(each, np.float64) for each in experts[e])
            z = np.asarray(x[token], np.float64)
            out[token, place] = (z @ gate / (1 + np.exp(-z @ gate)) * (z @ up)) @ down
    return out


@functools.partial(jax.jit, static_argnames="dtype")
def sparse(x, chosen, experts, dtype=jnp.float32):
    return apply_chosen(x, chosen, experts, dtype)


def choices(kind, tokens):
    if kind == "random":
        return np.stack([RANDOM.permutation(E)[:K] for _ in range(tokens)])
    return np.tile([[3, 0]], (tokens, 1))


@pytest.mark.parametrize(
    ("kind", "tokens"), [("random", 100), ("random", 3), ("all the same", 100), ("all the same", 1)]
)
def test_chosen_experts_are_those_of_a_loop(kind, tokens):
    """Also where experts go idle, and where a block is one token and zeros."""
    x, chosen = normal(tokens, C), jnp.asarray(choices(kind, tokens))
    np.testing.assert_allclose(sparse(x, chosen, EXPERTS), dense(x, chosen, EXPERTS), rtol=1e-5, atol=1e-5)


def whole(params, x):
    """(3) with every expert on every token, differentiated by JAX."""
    probabilities = jax.nn.softmax(x @ params["gate"]["kernel"])
    _, chosen = jax.lax.top_k(probabilities, K)
    mask = jax.nn.one_hot(chosen, E).sum(-2)

    def expert(name):
        gate, up, down = (params[name][f"{part}_proj"]["kernel"] for part in ("gate", "up", "down"))
        return (jax.nn.silu(x @ gate) * (x @ up)) @ down

    every = jnp.stack([expert(f"experts_{i}") for i in range(E)], -1)
    return expert("shared_experts") + jnp.einsum("blce,ble->blc", every, mask * probabilities)


@functools.cache
def both():
    """Outputs and gradients of a scalar by parameters and input, of the module and of `whole`."""
    moe = SparseMoE(E, K, F, 4, jnp.float32, jax.nn.initializers.normal(1.0))
    x, probe = normal(2, 9, C), normal(2, 9, C)
    params = moe.init(jax.random.key(0), x)["params"]

    def measured(function):
        def value(params, x):
            out = function(params, x)
            return jnp.sum(out * probe), out

        with jax.default_matmul_precision("highest"):
            return jax.jit(jax.value_and_grad(value, (0, 1), has_aux=True))(params, x)

    return measured(lambda params, x: moe.apply({"params": params}, x)), measured(whole)


def test_outputs_and_all_gradients_are_those_of_all_experts_on_all_tokens():
    ((_, out), gradients), ((_, expected), expected_gradients) = both()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-4)
    assert jax.tree.structure(gradients) == jax.tree.structure(expected_gradients)
    for found, right in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        largest = np.abs(right).max()
        assert largest > 0
        np.testing.assert_allclose(found / largest, right / largest, atol=1e-5)


def test_the_order_of_experts_does_not_matter():
    x, chosen, order = normal(20, C), choices("random", 20), np.array([4, 2, 0, 1, 3])
    moved = sparse(x, jnp.asarray(np.argsort(order)[chosen]), [EXPERTS[i] for i in order])
    np.testing.assert_allclose(moved, sparse(x, jnp.asarray(chosen), EXPERTS), rtol=1e-6, atol=1e-6)


def test_only_chosen_experts_work_also_for_the_gradient_by_the_input():
    """Of 8 experts 2 are chosen: with the zeros in blocks, no more than half of the products of all."""
    tokens, experts = jnp.zeros((256, 64)), [Kernels(*[jnp.zeros((64, 64))] * 3)] * 8
    chosen = jnp.zeros((256, 2), jnp.int32)
    all_of_them = 8 * 3 * 2 * 256 * 64 * 64

    def out(x):
        return apply_chosen(x, chosen, experts, jnp.float32).sum()

    assert count_flops(out, tokens) <= 0.5 * all_of_them
    compiled = jax.jit(jax.grad(out)).lower(tokens).compile()
    assert "f32[8,64,64]" not in compiled.as_text()


def test_blocks_of_nobody_are_zeros():
    x = normal(3, 2, C)
    kernels = tuple(expert.gate for expert in EXPERTS)
    out = jax.jit(grouped_matmul, static_argnums=3)(x, kernels, jnp.array([1, E, 4]), jnp.float32)
    np.testing.assert_array_equal(out[1], 0)
    np.testing.assert_allclose(out[2], x[2] @ kernels[4], rtol=1e-5, atol=1e-5)
