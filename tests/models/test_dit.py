"""The DiT network and the steps it is used in against outputs of the official code; properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.dit import GENERATOR
from checkpoints_convert.mapping import convert
from jaxaudit.errors import InputError
from jaxaudit.models.dit import Block, DiT, DiTConfig, position_table
from jaxaudit_kernels.denoising import ddim
from jaxaudit_kernels.learned_variance import (
    ancestral_step,
    posterior_log_variance,
    reverse_step,
    training_losses,
)
from jaxaudit_kernels.process import add_noise, denoised, noise_levels
from jaxaudit_kernels.processes import linear_beta
from tests.golden import weights

CONFIG = DiTConfig(num_classes=10, depth=3, width=64, num_heads=4, latent_size=8)
MODEL = DiT(CONFIG)


@functools.cache
def golden():
    """Parameters, inputs (images NHWC), recorded outputs."""
    recorded, io = weights.load("dit")
    spec = jax.ShapeDtypeStruct
    latents, one = spec((1, 8, 8, 4), jnp.float32), spec((1,), jnp.int32)
    abstract = jax.eval_shape(MODEL.init, jax.random.key(0), latents, one, one)["params"]
    params = jax.tree.map(jnp.asarray, convert(weights.state_dict(recorded, io), GENERATOR, abstract))
    return params, {name: jnp.asarray(nhwc(x)) for name, x in weights.inputs(recorded).items()}, io


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


@functools.cache
def compiled():
    """(params, z_t, t, labels) -> output and everything captured; one program for all tests."""

    def run(params, z_t, t, labels):
        return MODEL.apply(
            {"params": params},
            z_t,
            t,
            labels,
            capture_intermediates=lambda module, _: isinstance(module, Block) or module.name == "t_embedder",
            mutable=["intermediates", "activations"],
        )

    return jax.jit(run)


def outputs(z_t, t, labels):
    out, _ = compiled()(golden()[0], z_t, np.asarray(t, np.int32), np.asarray(labels, np.int32))
    return np.asarray(out)


def test_official_outputs():
    params, inputs, io = golden()
    out, captured = compiled()(params, inputs["x"], inputs["t"], inputs["y"])
    close(out, nhwc(io["out"]))
    close(captured["intermediates"]["t_embedder"]["__call__"][0], io["t_embedding"])
    for i in range(3):
        close(captured["intermediates"][f"blocks_{i}"]["__call__"][0], io[f"block{i}_out"])
        hidden = captured["activations"][f"blocks_{i}"]["mlp"]["hidden"][0]
        close(hidden[..., ::4], io[f"block{i}_mlp_hidden"])


def test_official_guided_output():
    """Guidance, which the official code applies to three of the four channels, mixes our two views."""
    _, inputs, io = golden()
    pair, null = inputs["x"][np.array([0, 1, 0, 1])], CONFIG.num_classes
    out = outputs(pair, [500, 100] * 2, [*inputs["y"][:2], null, null])
    guided = out[2:, ..., :3] + 3.5 * (out[:2, ..., :3] - out[2:, ..., :3])
    close(jnp.concatenate([jnp.tile(guided, (2, 1, 1, 1)), out[..., 3:]], -1), nhwc(io["cfg_out"]))


def test_official_losses_and_steps():
    _, inputs, io = golden()
    process, (t, noise, x, x_start) = (
        linear_beta(),
        (jnp.asarray(inputs[name]) for name in ("loss_t", "noise", "x", "x_start")),
    )
    close(posterior_log_variance(process), io["posterior_log_variance_clipped"], rtol=1e-6, atol=0)
    x_t = add_noise(x_start, noise_levels(process, t), noise)
    close(x_t, nhwc(io["x_t"]))
    losses = training_losses(process, jnp.asarray(outputs(x_t, t, inputs["y"])), x_start, t, noise)
    for name in ("mse", "vb", "loss"):
        close(losses[name], io[name])
    seen = denoised(process, jnp.asarray(outputs(x, t, inputs["y"])), x, t)
    mean, log_variance = reverse_step(process, x, t, seen)
    close(np.moveaxis(mean, -1, 1)[..., ::2], io["step_mean"])
    close(np.moveaxis(log_variance, -1, 1)[..., ::2], io["step_log_variance"])
    step = ancestral_step(process, x, t, seen, jnp.asarray(inputs["step_noise"]))
    close(step, nhwc(io["step_p_sample"]))
    before = noise_levels(process, t - 1)
    close(ddim(x, noise_levels(process, t), before, seen.eps), nhwc(io["step_ddim"]))


def test_initial_positions_are_the_official_ones():
    close(position_table(64, 4)[None], golden()[2]["pos_embed_sincos"], rtol=0, atol=1e-6)


def test_a_new_network_predicts_zero_noise_and_never_trains_its_positions():
    tiny = DiT(DiTConfig(num_classes=2, depth=1, width=8, num_heads=2, latent_size=4))
    z_t = jnp.asarray(np.random.default_rng(0).standard_normal((1, 4, 4, 4)).astype(np.float32))
    time, label = jnp.array([3]), jnp.array([1])

    @jax.jit
    def run(key):
        params = tiny.init(key, z_t, time, label)["params"]
        moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
        gradient = jax.grad(lambda p: jnp.sum(tiny.apply({"params": p}, z_t, time, label) ** 2))
        return params, tiny.apply({"params": params}, z_t, time, label), gradient(moved)

    params, out, gradients = run(jax.random.key(0, impl="rbg"))  # compiles faster
    np.testing.assert_array_equal(out, np.zeros((1, 4, 4, 8)))
    np.testing.assert_array_equal(params["pos_embed"][0], position_table(8, 2))
    np.testing.assert_array_equal(gradients.pop("pos_embed"), 0.0)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))


def test_rows_do_not_depend_on_each_other():
    _, inputs, _ = golden()
    x, t, y = inputs["x"], inputs["t"], inputs["y"]
    out = outputs(x, t, y)
    np.testing.assert_array_equal(outputs(x, t, y), out)
    np.testing.assert_allclose(outputs(x[::-1], t[::-1], y[::-1])[::-1], out, atol=2e-6, rtol=1e-5)
    for index in range(3):
        changed = [np.array(part) for part in (x, t, y)]
        changed[index][1] = [0.0, 7, CONFIG.num_classes][index]
        other = outputs(*changed)
        np.testing.assert_array_equal(other[[0, 2, 3]], out[[0, 2, 3]])
        assert np.any(other[1] != out[1])


def test_half_precision_computes_about_the_same():
    params, inputs, io = golden()
    half = DiT(CONFIG, jnp.bfloat16)
    out = jax.jit(half.apply)({"params": params}, inputs["x"], inputs["t"], inputs["y"])
    assert out.dtype == jnp.float32
    error = out - nhwc(io["out"])
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.std(io["out"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 7}, "num_heads=7 does not divide width=1152"),
        ({"width": 66, "num_heads": 6}, "width=66 is not a multiple of 4"),
        ({"num_classes": 0}, "num_classes=0: a DiT needs at least one class"),
        ({"latent_size": 33}, "patch_size=2 does not divide latent_size=33"),
    ],
)
def test_unusable_configs(fields, message):
    with pytest.raises(InputError, match=message):
        DiTConfig(**fields)
