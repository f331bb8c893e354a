"""The low-rank step against one written out picture by picture."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.low_rank import (
    LEARNING_RATE,
    RANK,
    LowRankStep,
    attention_kernels,
    initial_factors,
    why_no_low_rank,
    with_factors,
)
from jaxaudit_kernels import draws
from tests import tiny_diffusion

KEY = jax.random.key(5)
QKV, OUT = "block/attn/qkv/kernel", "block/attn2/to_out/kernel"


def network(params, z, time, condition):
    """tanh(z QKV + z OUT + z MLP + b_condition), no attention but its names."""
    del time
    block = params["generator"]["block"]
    kernels = block["attn"]["qkv"]["kernel"] + block["attn2"]["to_out"]["kernel"] + block["mlp"]["kernel"]
    return jnp.tanh(z @ kernels + 0.1 * condition[:, None, None, None])


def target():
    random = np.random.default_rng(0)
    parts = [{"kernel": jnp.asarray(random.standard_normal((3, 3)) / 3, jnp.float32)} for _ in range(3)]
    bias = {"bias": jnp.ones(3)}
    block = {"attn": {"qkv": parts[0] | bias}, "attn2": {"to_out": parts[1]}, "mlp": parts[2]}
    return dataclasses.replace(tiny_diffusion.target(network=network), params={"generator": {"block": block}})


def test_kernels_of_attention_get_factors_and_nothing_else():
    params = target().params
    factors = initial_factors(params, KEY)
    assert set(attention_kernels(params)) == set(factors) == {QKV, OUT}
    for down, up in factors.values():
        assert (down.shape, up.shape) == ((3, RANK), (RANK, 3))
        assert not up.any()
    added = {path: (down, jnp.ones_like(up)) for path, (down, up) in factors.items()}
    changed = with_factors(params, added)
    for path, kernel in attention_kernels(params).items():
        np.testing.assert_allclose(
            attention_kernels(changed)[path], kernel + added[path][0] @ added[path][1], atol=1e-6
        )
    same = jax.tree.map(lambda a, b: bool((a == b).all()), params, changed)
    assert jax.tree.leaves(same).count(False) == 2


def test_a_picture_is_trained_on_alone_and_measured_under_the_same_noise():
    audited = target()
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    ids, labels = draws.id_numbers(["a", "b"]), np.array([3, 0])
    step = LowRankStep(audited.functions, audited.process, audited.latent_shape, 2, rows=1)
    found = jax.jit(step)((audited.params, KEY), {"images": images, "condition": labels, "ids": ids})[
        "low_rank"
    ]

    share = audited.process.alphas_cumprod[audited.process.level(100)]
    factors = initial_factors(audited.params, KEY)
    noises = np.asarray(draws.noises(draws.image_keys(KEY, ids), 2, audited.latent_shape))
    latents = np.asarray(audited.encode(images))
    for row in range(2):
        z_t = np.sqrt(share) * latents[row] + np.sqrt(1 - share) * noises[:, row]

        def loss(ups, z_t=z_t, noise=noises[:, row], label=labels[[row, row]]):
            params = with_factors(audited.params, {p: (factors[p][0], up) for p, up in ups.items()})
            return jnp.mean((noise - network(params, jnp.asarray(z_t, jnp.float32), None, label)) ** 2)

        before, slope = jax.value_and_grad(loss)({path: up for path, (_, up) in factors.items()})
        stepped = {path: -LEARNING_RATE * g / (jnp.abs(g) + 1e-8) for path, g in slope.items()}
        expected = np.log(float(loss(stepped))) - np.log(float(before))
        assert expected < 0
        assert found[row] == pytest.approx(expected, rel=0.01, abs=5e-7)


def test_says_why_there_is_no_step():
    assert "has no attention" in why_no_low_rank(tiny_diffusion.target())
    assert why_no_low_rank(target()) is None
    halved = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), target().params)
    assert "take --precision=float32" in why_no_low_rank(dataclasses.replace(target(), params=halved))
