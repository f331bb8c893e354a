"""The low-rank step against one written out picture by picture."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.low_rank import (
    LEARNING_RATE,
    RANK,
    LowRankStep,
    attention_kernels,
    initial_factors,
    why_no_low_rank,
    with_factors,
)
from jaxaudit.models.layers import Dense
from jaxaudit_kernels import draws
from tests import tiny_diffusion

KEY = jax.random.key(5)
QKV, OUT = "block/attn/qkv/kernel", "block/attn2/to_out/kernel"


def network(params, z, time, condition):
    """tanh(z QKV + z OUT + z MLP + b_condition), no attention but its names."""
    del time
    block = params["generator"]["block"]
    dense = Dense(3, use_bias=False)
    maps = (dense.apply({"params": part}, z) for part in (block["attn"]["qkv"], block["attn2"]["to_out"]))
    return jnp.tanh(sum(maps) + z @ block["mlp"]["kernel"] + 0.1 * condition[:, None, None, None])


def merged(params, factors):
    """The parameters with A B added to the kernels."""
    block = dict(params["generator"]["block"])
    for path, (down, up) in factors.items():
        _, attention, layer, _ = path.split("/")
        kernel = block[attention][layer]["kernel"] + down @ up
        block[attention] = {layer: block[attention][layer] | {"kernel": kernel}}
    return {"generator": {"block": block}}


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
    z, labels = jax.random.normal(KEY, (2, 4, 4, 3)), jnp.zeros(2)
    found = network(with_factors(params, added), z, None, labels)
    np.testing.assert_allclose(found, network(merged(params, added), z, None, labels), atol=1e-5)
    assert not np.allclose(found, network(params, z, None, labels))
    unchanged = network(with_factors(params, factors), z, None, labels)
    np.testing.assert_array_equal(unchanged, network(params, z, None, labels))


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
            params = merged(audited.params, {p: (factors[p][0], up) for p, up in ups.items()})
            return jnp.mean((noise - network(params, jnp.asarray(z_t, jnp.float32), None, label)) ** 2)

        before, slope = jax.value_and_grad(loss)({path: up for path, (_, up) in factors.items()})
        stepped = {path: -LEARNING_RATE * g / (jnp.abs(g) + 1e-8) for path, g in slope.items()}
        expected = np.log(float(loss(stepped))) - np.log(float(before))
        assert expected < 0
        assert found[row] == pytest.approx(expected, rel=0.01, abs=5e-7)


def test_no_kernel_is_stored_image_by_image():
    """Nor its gradient: of 5 images nothing has the shape of 5 kernels, at any depth of the program."""
    size, audited = 5, jaxaudit.load_target("digits_dit")
    kernels = {kernel.shape for kernel in attention_kernels(audited.params).values()}
    step = LowRankStep(audited.functions, audited.process, audited.latent_shape, 1, None)
    batch = {
        "images": jnp.zeros((size, *[audited.preprocessing.image_size] * 2, 3)),
        "condition": jnp.zeros(size, jnp.int32),
        "ids": jnp.zeros(size, jnp.uint32),
    }
    program = str(jax.make_jaxpr(step)((audited.params, KEY), batch))
    assert len(kernels) > 1
    for inputs, outputs in kernels:
        assert f"f32[{inputs},{outputs}]" in program
        assert f"f32[{size},{inputs},{outputs}]" not in program
        assert f"f32[{size},{outputs},{inputs}]" not in program


def test_says_why_there_is_no_step():
    assert "has no attention" in why_no_low_rank(tiny_diffusion.target())
    assert why_no_low_rank(target()) is None
    halved = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), target().params)
    assert "take --precision=float32" in why_no_low_rank(dataclasses.replace(target(), params=halved))
