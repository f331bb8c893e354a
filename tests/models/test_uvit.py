"""The U-ViT network under labels, captions and nothing, against outputs of the official code; properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.uvit import GENERATOR
from jaxaudit.errors import InputError
from jaxaudit.models.patches import patchify, unpatchify
from jaxaudit.models.uvit import Block, UViT, UViTConfig
from jaxaudit_kernels.process import add_noise, network_input, noise_levels
from jaxaudit_kernels.processes import scaled_linear_beta
from jaxaudit_kernels.time_embedding import timestep_embedding
from tests.golden import weights

SMALL = {"depth": 4, "width": 64, "num_heads": 4, "latent_size": 8}
CONFIGS = {
    "uvit": UViTConfig(num_classes=10, **SMALL),
    "uvit_t2i": UViTConfig(num_classes=0, context_length=7, context_dim=48, final_conv=True, **SMALL),
    "uvit_uncond": UViTConfig(num_classes=0, final_conv=True, **SMALL),
}
CASES = sorted(CONFIGS)


@functools.cache
def golden(case):
    """Parameters, inputs (images NHWC), the condition, recorded outputs."""
    recorded, io = weights.load(case)
    inputs = {
        name: jnp.asarray(np.moveaxis(x, 1, -1) if x.ndim == 4 else x)
        for name, x in weights.inputs(recorded).items()
    }
    condition = inputs.get("y", inputs.get("context"))
    abstract = jax.eval_shape(
        UViT(CONFIGS[case]).init, jax.random.key(0), inputs["x"], inputs["t"], condition
    )["params"]
    params = jax.tree.map(jnp.asarray, convert(weights.state_dict(recorded, io), GENERATOR, abstract))
    return params, inputs, condition, io


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


@functools.cache
def compiled(case):
    def run(params, z_t, n, condition):
        return UViT(CONFIGS[case]).apply(
            {"params": params},
            z_t,
            n,
            condition,
            capture_intermediates=lambda module, _: isinstance(module, Block),
            mutable=["intermediates", "activations"],
        )

    return jax.jit(run)


def run(case, z_t, n, condition):
    """Output NCHW and everything captured."""
    out, captured = compiled(case)(golden(case)[0], z_t, np.asarray(n, np.float32), condition)
    return np.moveaxis(np.asarray(out), -1, 1), captured


@pytest.mark.parametrize("case", CASES)
def test_official_outputs(case):
    _, inputs, condition, io = golden(case)
    out, captured = run(case, inputs["x"], inputs["t"], condition)
    close(out, io["out"])
    close(timestep_embedding(inputs["t"], 64), io["time_embedding"])
    compared = 0
    for name in CONFIGS[case].blocks:
        recorded = name.replace("blocks_", "block")
        output = captured["intermediates"][name]["__call__"][0][:2]
        hidden = captured["activations"][name]["mlp"]["hidden"][0][..., ::8]
        for key, actual in ((f"{recorded}_out", output), (f"{recorded}_mlp_hidden", hidden)):
            if key in io:
                close(actual, io[key])
                compared += 1
    assert compared == (4 if case == "uvit_uncond" else 10)


@pytest.mark.parametrize("case", CASES)
def test_official_noising_and_loss(case):
    """Their n counts from 1; our levels from 0."""
    _, inputs, condition, io = golden(case)
    process, index = scaled_linear_beta(first_time=1), jnp.asarray(inputs["n"] - 1)
    x_start, noise = (jnp.asarray(inputs[name]) for name in ("x_start", "noise"))
    x_n, told = network_input(process, add_noise(x_start, noise_levels(process, index), noise), index)
    close(np.moveaxis(x_n, -1, 1), io["x_n"])
    np.testing.assert_array_equal(told, inputs["n"])
    out, _ = run(case, x_n, told, condition)
    error = np.moveaxis(inputs["noise"], -1, 1) - out
    close(np.mean(error**2, axis=(1, 2, 3)), io["lsimple"])


def test_official_null_class():
    _, inputs, condition, io = golden("uvit")
    out, _ = run("uvit", inputs["x"], inputs["t"], np.full_like(condition, CONFIGS["uvit"].num_classes))
    close(out, io["out_null"])


def test_official_patches():
    _, inputs, _, io = golden("uvit")
    patches = patchify(inputs["x"], 2, "p q c")
    np.testing.assert_array_equal(patches[:1], io["patchify"])
    np.testing.assert_array_equal(unpatchify(patches, 2, "p q c"), inputs["x"])


@pytest.mark.parametrize("case", CASES)
def test_rows_do_not_depend_on_each_other(case):
    _, inputs, condition, _ = golden(case)
    x, t = inputs["x"], inputs["t"]
    out, _ = run(case, x, t, condition)
    np.testing.assert_array_equal(run(case, x, t, condition)[0], out)
    turned = run(case, x[::-1], t[::-1], None if condition is None else condition[::-1])[0][::-1]
    np.testing.assert_allclose(turned, out, atol=2e-6, rtol=1e-5)
    if condition is not None:
        other = np.array(condition)
        other[1] = 0
        changed, _ = run(case, x, t, other)
        np.testing.assert_array_equal(changed[[0, 2, 3]], out[[0, 2, 3]])
        assert np.any(changed[1] != out[1])


def test_half_precision_computes_about_the_same():
    params, inputs, condition, io = golden("uvit")
    half = UViT(CONFIGS["uvit"], jnp.bfloat16)
    out = jax.jit(half.apply)({"params": params}, inputs["x"], inputs["t"], condition)
    assert out.dtype == jnp.float32
    error = np.moveaxis(out, -1, 1) - io["out"]
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.std(io["out"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 7}, "num_heads=7 does not divide width=1152"),
        ({"width": 33, "num_heads": 3}, "width=33 is odd"),
        ({"depth": 3}, "depth=3 is odd"),
        ({"latent_size": 33}, "patch_size=2 does not divide latent_size=33"),
        ({"context_length": 7}, "context_length=7 and context_dim=0: captions need both"),
        ({"context_length": 7, "context_dim": 8}, "num_classes=1000 and context_length=7"),
    ],
)
def test_unusable_configs(fields, message):
    with pytest.raises(InputError, match=message):
        UViTConfig(**fields)


@pytest.mark.parametrize(("case", "needed"), [("uvit", "class labels"), ("uvit_t2i", "captions")])
def test_a_missing_condition_is_named(case, needed):
    params, inputs, _, _ = golden(case)
    with pytest.raises(InputError, match=f"condition=None.*{needed}"):
        UViT(CONFIGS[case]).apply({"params": params}, inputs["x"], inputs["t"])
