"""Latent diffusion's U-Net under classes and captions, against outputs of the official code; properties."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert import unet as conversion
from checkpoints_convert.ldm import GENERATOR as CLASSES
from checkpoints_convert.mapping import convert
from checkpoints_convert.sd import GENERATOR as CAPTIONS
from jaxaudit.errors import InputError
from jaxaudit.families import ldm, sd
from jaxaudit.models.unet import UNet, UNetConfig
from jaxaudit.models.unet_blocks import Attention, AttentionToOne
from jaxaudit_kernels.process import add_noise, denoised, noise_levels
from jaxaudit_kernels.processes import declared
from jaxaudit_kernels.time_embedding import timestep_embedding
from tests.golden import weights
from tests.golden.parts import stored_part
from tests.marks import slow_but

SMALL = {"context_dim": 24, "width": 32, "latent_size": 16}
CONFIGS = {
    "ldm8_unet": UNetConfig(num_classes=10, heads=(2, 4, 8), **SMALL),
    "ldm4_unet": UNetConfig(
        num_classes=10,
        null_label=True,
        ch_mult=(1, 2, 3, 5),
        attention_levels=(1, 2, 3),
        heads=(1, 1, 1, 1),
        latent_channels=3,
        **SMALL,
    ),
    "sd_unet": UNetConfig(num_classes=0, context_length=7, ch_mult=(1, 2, 4, 4), heads=(8, 8, 8, 8), **SMALL),
}
PROCESSES = {"ldm8_unet": ldm.PROCESS, "ldm4_unet": ldm.PROCESS, "sd_unet": sd.PROCESS}
CASES = sorted(CONFIGS)


def state_dict(case, recorded, io):
    """The official tensors; the case of Stable Diffusion was recorded without the prefix of the file."""
    prefix = recorded.get("prefix_in_released_file", "")
    return {prefix + key: value for key, value in weights.state_dict(recorded, io).items()}


@functools.cache
def golden(case):
    """Parameters, raw and averaged, inputs (images NHWC), the condition, recorded outputs, config."""
    recorded, io = weights.load(case)
    inputs = {
        name: jnp.asarray(np.moveaxis(x, 1, -1) if x.ndim == 4 else x)
        for name, x in weights.inputs(recorded).items()
    }
    condition = inputs["context"] if case == "sd_unet" else inputs["y"]
    abstract = jax.eval_shape(
        UNet(CONFIGS[case]).init, jax.random.key(0), inputs["x"], inputs["t"], condition
    )["params"]
    state, table = state_dict(case, recorded, io), CAPTIONS if case == "sd_unet" else CLASSES
    params = [
        chosen and jax.tree.map(jnp.asarray, convert(chosen, table, abstract))
        for chosen in (conversion.raw(state), conversion.moving_average(state))
    ]
    return params, inputs, condition, io, recorded


@functools.cache
def compiled(case):
    def run(params, z_t, t, condition):
        seen = {}

        def watch(call, arguments, options, context):
            out = call(*arguments, **options)
            path = "/".join(context.module.path)
            seen[path] = out
            if path.endswith(("proj_out", "fc2")):
                seen[f"{path}:read"] = arguments[0]
            return out

        with nn.intercept_methods(watch):
            return UNet(CONFIGS[case]).apply({"params": params}, z_t, t, condition), seen

    return jax.jit(run)


def run(case, z_t, t, condition, *, average=False):
    """Output NCHW, and what every module made."""
    out, seen = compiled(case)(golden(case)[0][average], z_t, np.asarray(t, np.int32), condition)
    return np.moveaxis(np.asarray(out), -1, 1), seen


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


def places(case):
    """{recorded name: path of the module whose output it is}."""
    config = CONFIGS[case]
    found = {
        "time_embedding": "time_embed",
        "input_block0_out": "conv_in",
        "middle_block_out": "middle_blocks_2",
    }
    for part, blocks in (("input", config.input_blocks), ("output", config.output_blocks)):
        for number, level in blocks:
            kind = "transformer" if level in config.attention_levels else "blocks"
            found[f"{part}_block{number}_out"] = f"{part}_{kind}_{number}"
    (first, *_), (*_, last) = config.blocks, config.blocks
    for name, path in (("first", first), ("middle", "middle_transformer"), ("last", last)):
        found |= {
            f"{name}_attention_attn1": f"{path}/attn1",
            f"{name}_attention_attn2": f"{path}/attn2",
            f"{name}_attention_ff_hidden": f"{path}/mlp/fc2:read",
            f"{name}_attention_block_out": f"{path}/proj_out:read",
            f"{name}_attention_out": path,
        }
    return found


@pytest.mark.parametrize("case", slow_but(CASES, "sd_unet", "ldm8_unet"))
def test_official_outputs(case):
    _, inputs, condition, io, recorded = golden(case)
    out, seen = run(case, inputs["x"], inputs["t"], condition)
    close(out, io["out"])
    found = places(case)
    found |= {
        f"input_block{path.split('_')[1]}_out": path
        for path in seen
        if path.startswith("downsample") and "/" not in path
    }
    found |= {
        f"output_block{path.split('_')[1]}_out": path
        for path in seen
        if path.startswith("upsample") and "/" not in path
    }
    for name, path in found.items():
        actual = np.asarray(seen[path])
        if actual.ndim == 4:
            actual = np.moveaxis(actual, -1, 1)
        if actual.ndim == 3 and actual.shape[1] == 1:  # the same for every token
            actual = np.broadcast_to(
                actual, (4, np.asarray(seen[path.replace("attn2", "attn1")]).shape[1], actual.shape[2])
            )
        close(actual[stored_part(recorded, name)], io[name], err_msg=name)
    blocks = [name for name in io if "block" in name or "attention" in name]
    assert set(blocks) <= found.keys()


@pytest.mark.parametrize("case", CASES)
def test_official_inputs_of_the_blocks(case):
    _, inputs, condition, io, _ = golden(case)
    if case != "sd_unet":
        close(timestep_embedding(inputs["t"], 32), io["timestep_sinusoids"])
        table = golden(case)[0][0]["class_embed"]["embedding"]
        close(table[condition][:, None], io["context"])


def test_official_variations_of_time_and_condition():
    _, inputs, condition, io, _ = golden("ldm8_unet")
    close(run("ldm8_unet", inputs["x"], np.full(4, 300), condition)[0], io["out_one_timestep"])
    close(run("ldm8_unet", inputs["x"], inputs["t"], condition, average=True)[0], io["out_ema"])
    _, inputs, condition, io, _ = golden("ldm4_unet")
    close(run("ldm4_unet", inputs["x"], np.full(4, 300), condition)[0], io["out_one_timestep"])
    close(run("ldm4_unet", inputs["x"], inputs["t"], np.full(4, 10, np.int32))[0], io["out_null"])
    _, inputs, condition, io, _ = golden("sd_unet")
    first = np.broadcast_to(condition[:1], condition.shape)
    close(run("sd_unet", inputs["x"], inputs["t"], first)[0], io["out_first_context"])
    close(run("sd_unet", inputs["x"], inputs["t"], condition)[0], io["out_diffusers"])


@pytest.mark.parametrize("case", CASES)
def test_official_noising_and_loss(case):
    _, inputs, condition, io, _ = golden(case)
    process = declared(PROCESSES[case])
    close(process.alphas_cumprod, io["alphas_cumprod"], rtol=2e-5, atol=0)
    level = noise_levels(process, inputs["loss_t"])
    x_t = add_noise(inputs["x_start"], level, inputs["noise"])
    close(np.moveaxis(x_t, -1, 1), io["x_t"])
    out, _ = run(case, x_t, inputs["loss_t"], condition)
    loss = np.mean((np.moveaxis(inputs["noise"], -1, 1) - out) ** 2, axis=(1, 2, 3))
    close(loss, io["loss_simple"])
    if "p_losses" in io:
        close(loss.mean(), io["p_losses"][0])


@pytest.mark.parametrize("case", ["ldm8_unet", "ldm4_unet"])
def test_an_official_step_of_ddim(case):
    """Eq. 12 of Song et al. 2021 with σ = 0, from t = 501 to 481."""
    _, inputs, condition, io, _ = golden(case)
    alphas, times = declared(ldm.PROCESS).alphas_cumprod, io["ddim50_timesteps"]
    np.testing.assert_array_equal(times, np.arange(50) * 20 + 1)
    earlier = np.concatenate([alphas[:1], alphas[times[:-1]]])
    close(earlier, io["ddim50_alphas_prev"], rtol=2e-5, atol=0)
    eps, _ = run(case, inputs["x"], np.full(4, times[25]), condition)
    if case == "ldm4_unet":  # recorded with guidance by the null class
        null, _ = run(case, inputs["x"], np.full(4, times[25]), np.full_like(condition, 10))
        eps = null + 3.0 * (eps - null)
    x, a, b = np.moveaxis(inputs["x"], -1, 1), alphas[times[25]], earlier[25]
    clean = (x - np.sqrt(1 - a) * eps) / np.sqrt(a)
    close(clean, io["ddim_step_x0"])
    close(np.sqrt(b) * clean + np.sqrt(1 - b) * eps, io["ddim_step"])


def test_what_a_network_that_predicts_v_has_said():
    _, inputs, condition, io, _ = golden("sd_unet")
    x, level = jnp.moveaxis(io["x_t"], 1, -1), inputs["loss_t"]
    out = jnp.moveaxis(run("sd_unet", x, level, condition)[0], 1, -1)
    process = declared(sd.V_PREDICTION)
    eps = denoised(process, out, x, level).eps
    close(np.moveaxis(eps, -1, 1), io["eps_if_v_prediction"])
    alphas = process.alphas_cumprod[level][:, None, None, None].astype(np.float32)
    close(np.moveaxis(np.sqrt(alphas) * x - np.sqrt(1 - alphas) * out, -1, 1), io["x0_if_v_prediction"])


def test_attention_to_one_token_is_attention():
    """(4) is (3)."""
    y, context = (
        jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 5, 8), (2, 1, 6)])
    )
    full = Attention(2, jnp.float32, "xla")
    params = full.init(jax.random.key(2), y, context)["params"]
    short = AttentionToOne(8, jnp.float32).apply(
        {"params": {k: params[k] for k in ("to_v", "to_out")}}, context
    )
    expected = full.apply({"params": params}, y, context)
    np.testing.assert_allclose(np.broadcast_to(short, expected.shape), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": 0}, "num_classes=0 and context_length=0: .* one of them"),
        ({"context_length": 7}, "num_classes=1000 and context_length=7: .* one of them"),
        ({"width": 255}, "width=255 is odd"),
        ({"heads": (8, 16)}, r"heads=\(8, 16\) must say how many for each of 3 levels"),
        ({"heads": (8, 16, 30)}, "30 heads do not divide the 1024 channels of level 2"),
        ({"latent_size": 30}, "latent_size=30 cannot be halved to 3 levels; it must be a multiple of 4"),
    ],
)
def test_unusable_configs(fields, message):
    with pytest.raises(InputError, match=message):
        UNetConfig(**fields)
