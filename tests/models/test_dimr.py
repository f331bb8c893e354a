"""The DiMR network at both resolutions against outputs of the official code; properties."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.dimr import GENERATOR
from checkpoints_convert.mapping import convert
from jaxaudit.errors import InputError
from jaxaudit.models.dimr import CoarseBlock, DiMR, DiMRConfig, FineBlock, TimeDependent
from jaxaudit_kernels.process import add_noise, network_input, noise_levels
from jaxaudit_kernels.processes import scaled_linear_beta
from tests.golden import weights

CONFIG = DiMRConfig(
    num_classes=10, depth=5, width=48, num_heads=4, fine_depth=3, fine_width=24, latent_size=12
)
MODEL = DiMR(CONFIG)
INPUTS = {"coarse_input", "fine_input", "upsample"}


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


@functools.cache
def golden():
    """Parameters, inputs (images NHWC), recorded outputs."""
    recorded, io = weights.load("dimr")
    inputs = {name: jnp.asarray(nhwc(x)) for name, x in weights.inputs(recorded).items()}
    return parameters(weights.state_dict(recorded, io)), inputs, io


def parameters(state):
    spec = jax.ShapeDtypeStruct
    latents, one = spec((1, 12, 12, 4), jnp.float32), spec((1,), jnp.int32)
    abstract = jax.eval_shape(MODEL.init, jax.random.key(0), latents, one, one)["params"]
    return jax.tree.map(jnp.asarray, convert(state, GENERATOR, abstract))


@functools.cache
def compiled():
    """(params, z_n, n, labels) -> both outputs and everything captured; one program for all tests."""

    def run(params, z_n, n, labels):
        return MODEL.apply(
            {"params": params},
            z_n,
            n,
            labels,
            method="resolutions",
            capture_intermediates=lambda module, _: (
                isinstance(module, CoarseBlock | FineBlock) or module.name in INPUTS
            ),
            mutable=["intermediates", "activations"],
        )

    return jax.jit(run)


def run(z_n, n, labels, *, params=None):
    """Coarse output, fine output, everything captured."""
    params = golden()[0] if params is None else params
    (low, out), captured = compiled()(params, z_n, np.asarray(n, np.float32), np.asarray(labels, np.int32))
    return np.asarray(low), np.asarray(out), captured


def images(tokens):
    """The pixels of the fine network [B,144,C] as [B,12,12,C]."""
    return np.reshape(tokens, (len(tokens), 12, 12, -1))


def test_official_outputs():
    params, inputs, io = golden()
    low, out, captured = run(inputs["x"], inputs["n"], inputs["y"])
    close(out, nhwc(io["out"]))
    close(low, nhwc(io["out_low"]))
    outputs = {name: found["__call__"][0] for name, found in captured["intermediates"].items()}
    positions = {name: params[f"{name}_positions"][None] for name in ("coarse", "fine")}
    coarse_input = np.reshape(outputs["coarse_input"] + positions["coarse"], (4, 6, 6, 48))
    close(coarse_input[..., ::2], io["stage0_input"])
    close(images(outputs["fine_input"] + positions["fine"])[..., ::2], io["stage1_input"])
    close(images(outputs["upsample"])[..., ::2], io["stage1_upsample_out"])
    every = [coarse_input] + [
        np.reshape(outputs[f"coarse_blocks_{i}"][:, 1:], (4, 6, 6, 48)) for i in range(CONFIG.depth)
    ]
    close(np.concatenate(every, axis=-1)[:, ::2, ::2, ::3], io["stage1_upsample_in"])
    for name in CONFIG.blocks:
        recorded = re.sub(r"coarse_blocks_", "stage0_block", re.sub(r"fine_blocks_", "stage1_block", name))
        shaped = images if "fine" in name else np.asarray
        close(shaped(outputs[name])[..., ::2], io[f"{recorded}_out"])
        hidden = captured["activations"][name]["mlp"]["hidden"][0]
        close(shaped(hidden)[..., ::8], io[f"{recorded}_mlp_hidden"])


def test_official_outputs_without_a_label_and_at_one_time():
    _, inputs, io = golden()
    close(run(inputs["x"], inputs["n"], np.full(4, 10))[1], nhwc(io["out_null"]))
    close(run(inputs["x"], np.full(4, 300), inputs["y"])[1], nhwc(io["out_same_n"]))


def test_official_losses():
    _, inputs, io = golden()
    process = scaled_linear_beta(first_time=1)
    close(process.alphas_cumprod, io["cum_alphas"][1:], rtol=1e-6, atol=0)
    level = inputs["loss_n"] - 1
    x_n = add_noise(inputs["x_start"], noise_levels(process, level), inputs["noise"])
    close(x_n, nhwc(io["x_n"]))
    told = network_input(process, x_n, level)[1]
    np.testing.assert_array_equal(told, inputs["loss_n"])
    low, high, _ = run(x_n, told, inputs["y"])
    close(high, nhwc(io["pred_high"]))
    noise_low = np.reshape(inputs["noise"], (4, 6, 2, 6, 2, 4)).sum((2, 4)) / 2
    close(noise_low, nhwc(io["noise_low"]))
    loss_low = np.square(low - noise_low).mean((1, 2, 3))
    loss_high = np.square(high - inputs["noise"]).mean((1, 2, 3))
    close(loss_low, io["loss_low"])
    close(loss_high, io["loss_high"])
    close(loss_low / 4 + loss_high, io["loss"])


def test_official_output_of_small_signals():
    """Where the epsilons decide: that of the RMS norm in the blocks, the other's at the end."""
    recorded, io = weights.load("dimr")
    probe, state = recorded["small_signal_probe"], weights.state_dict(recorded, io)
    for key in state:
        if re.search(probe["keys_matching"], key):
            state[key] = state[key] * np.float32(probe["scale"])
    inputs = golden()[1]
    _, out, captured = run(inputs["x"], inputs["n"], inputs["y"], params=parameters(state))
    close(out, nhwc(io["small_out"]))
    blocks, hidden = captured["intermediates"], captured["activations"]
    for actual, name in (
        (blocks["coarse_blocks_0"]["__call__"][0][..., ::2], "small_stage0_block0_out"),
        (images(blocks["fine_blocks_0"]["__call__"][0])[..., ::2], "small_stage1_block0_out"),
        (hidden["coarse_blocks_0"]["mlp"]["hidden"][0][..., ::4], "small_stage0_w2_in"),
    ):
        close(actual, io[name], rtol=0, atol=2e-5 * np.abs(io[name]).max())


def test_parameters_move_from_one_end_of_time_to_the_other():
    params, inputs, io = golden()
    scale = {"params": params["coarse_blocks_0"]["norm1"]["scale"]}
    module, tau = TimeDependent(1.0), 2 * inputs["n"] / 1000 - 1
    close(module.apply(scale, 48, tau)[:, 0], io["tdp_scale"])
    still = {"params": scale["params"] | {"param0": scale["params"]["param1"]}}
    constant = np.tile(still["params"]["param1"], (4, 1))
    np.testing.assert_array_equal(module.apply(still, 48, tau)[:, 0], constant)


def test_the_time_is_told_by_the_norms_alone():
    params, inputs, _ = golden()

    def stand_still(tree):
        if "param0" in tree:
            return tree | {"param0": tree["param1"]}
        return {name: stand_still(each) if isinstance(each, dict) else each for name, each in tree.items()}

    outs = [run(inputs["x"], np.full(4, n), inputs["y"], params=stand_still(params))[1] for n in (1, 900)]
    np.testing.assert_array_equal(*outs)
    moving = [run(inputs["x"], np.full(4, n), inputs["y"])[1] for n in (1, 900)]
    assert np.abs(moving[0] - moving[1]).max() > 0.1


def test_rows_do_not_depend_on_each_other():
    """The official module keeps the times of its last call; ours keeps nothing."""
    _, inputs, _ = golden()
    x, n, y = (np.asarray(inputs[name]) for name in ("x", "n", "y"))
    out = run(x, n, y)[1]
    np.testing.assert_array_equal(run(x, n, y)[1], out)
    np.testing.assert_allclose(run(x[::-1], n[::-1], y[::-1])[1][::-1], out, atol=2e-6, rtol=1e-5)
    for index in range(3):
        changed = [np.array(part) for part in (x, n, y)]
        changed[index][1] = [0.0, 7, 10][index]
        other = run(*changed)[1]
        np.testing.assert_array_equal(other[[0, 2, 3]], out[[0, 2, 3]])
        assert np.any(other[1] != out[1])


def test_half_precision_computes_about_the_same():
    params, inputs, io = golden()
    half = DiMR(CONFIG, jnp.bfloat16)
    out = jax.jit(half.apply)({"params": params}, inputs["x"], inputs["n"], inputs["y"])
    assert out.dtype == jnp.float32
    error = out - nhwc(io["out"])
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.std(io["out"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": 0}, "num_classes=0: a DiMR needs at least one class"),
        ({"num_heads": 7}, "num_heads=7 does not divide width=960"),
        ({"depth": 4}, "depth=4 is even; it must be odd"),
        ({"fine_depth": 2}, "fine_depth=2 is even"),
        ({"kernel_size": 6}, "kernel_size=6 is even"),
        ({"latent_size": 33}, "latent_size=33 is odd"),
    ],
)
def test_unusable_configs(fields, message):
    with pytest.raises(InputError, match=message):
        DiMRConfig(**fields)
