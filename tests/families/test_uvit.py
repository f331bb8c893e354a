"""The U-ViT family: official outputs through the target, the meaning of timesteps, layouts, conditions."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.uvit import GENERATOR
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, uvit
from jaxaudit_kernels.process import CLEAN
from tests.golden import weights

SMALL = {"depth": 4, "width": 64, "num_heads": 4, "latent_size": 8}
GENERATORS = {
    "uvit": {"num_classes": 10, **SMALL},
    "uvit_t2i": {"num_classes": 0, "context_length": 7, "context_dim": 48, "final_conv": True, **SMALL},
    "uvit_uncond": {"num_classes": 0, "final_conv": True, **SMALL},
}
TOKENIZER = {
    "latent_channels": 4,
    "ch": 32,
    "ch_mult": [1, 1],
    "encoder_attention_levels": [],
    "image_size": 16,
}


TIMESTEPS = np.array([0, 99, 436, 999])


@functools.cache
def golden(case):
    """The target of a recorded case (without an autoencoder's weights), inputs NHWC, condition, outputs."""
    recorded, io = weights.load(case)
    config = {"generator": GENERATORS[case], "tokenizer": TOKENIZER}
    abstract = uvit.abstract_params(config)["generator"]
    generator = jax.tree.map(np.asarray, convert(weights.state_dict(recorded, io), GENERATOR, abstract))
    params = {"generator": jax.tree.map(jnp.asarray, generator)}
    target = uvit.build_target(case, config, params, Preprocessing(16, "none", 16, -1.0, 1.0), {})
    inputs = weights.inputs(recorded)
    return target, np.moveaxis(inputs["x"], 1, -1), inputs.get("y", inputs.get("context")), inputs["t"], io


@pytest.mark.parametrize("case", sorted(GENERATORS))
def test_official_noise(case):
    """Level t is their n = t + 1; rows 0 and 2 have an n that no level is."""
    target, x, condition, n, io = golden(case)
    assert n.tolist() == [0, 100, 437.5, 1000]
    eps = target.predict_noise(x, TIMESTEPS, condition)
    np.testing.assert_allclose(eps[1::2], np.moveaxis(io["out"], 1, -1)[1::2], rtol=1e-4, atol=1e-4)


def test_no_noise_at_all_is_their_time_0():
    target, x, condition, _, io = golden("uvit_uncond")
    seen = jax.jit(target.functions.denoise)(target.params, x, jnp.array([CLEAN, 99, 0, 999]), condition)
    rows = [0, 1, 3]
    np.testing.assert_allclose(seen.eps[rows, ...], np.moveaxis(io["out"], 1, -1)[rows], rtol=1e-4, atol=1e-4)
    assert seen.variance is None


def test_activations_from_the_first_block_to_the_last():
    target, x, condition, _, io = golden("uvit")
    activations = target.activations(x, TIMESTEPS, condition)
    names = ["in block 0", "in block 1", "mid block", "out block 0", "out block 1"]
    assert list(activations) == list(target.hidden_layers) == names
    for name, units in activations.items():
        recorded = re.sub(r"block (\d)", r"block\1", name).replace(" ", "_")
        expected = io[f"{recorded}_mlp_hidden"][1::2]
        np.testing.assert_allclose(units[1::2, :, ::8], expected, rtol=1e-4, atol=1e-4)


def test_null_label():
    target, x, _, _, io = golden("uvit")
    eps = target.predict_noise(x, TIMESTEPS, np.full(4, target.null_label))
    np.testing.assert_allclose(eps[1], np.moveaxis(io["out_null"], 1, -1)[1], rtol=1e-4, atol=1e-4)


def test_noise_levels_count_from_the_first_noised_one():
    """Entry t is the noise of level t, their entry t + 1."""
    target, *_, io = golden("uvit")
    np.testing.assert_allclose(target.process.alphas_cumprod, io["cum_alphas"][1:], rtol=1e-6)


@pytest.mark.parametrize(
    ("case", "facts"),
    [("uvit", (10, 10, None)), ("uvit_t2i", (0, None, (7, 48))), ("uvit_uncond", (0, None, None))],
)
def test_facts(case, facts):
    target = golden(case)[0]
    assert (target.num_classes, target.null_label, target.context_shape) == facts


@pytest.mark.parametrize(
    ("name", "size", "resize", "scale"),
    [
        ("uvit_h_2_256", 256, "adm", 0.18215),
        ("uvit_h_4_512", 512, "adm", 0.18215),
        ("uvit_s_2_t2i", 256, "square_lanczos", 0.2301),
        ("uvit_s_2_deep_t2i", 256, "square_lanczos", 0.2301),
        ("uvit_s_2_uncond", 256, "square_lanczos", 0.18215),
    ],
)
def test_released_facts(name, size, resize, scale):
    variant = get_family("uvit").VARIANTS[name]
    assert variant.preprocessing == Preprocessing(size, resize, size, -1.0, 1.0)
    assert variant.config["tokenizer"]["scale"] == scale
    target = uvit.build_target("released", variant.config, {}, variant.preprocessing, {})
    assert target.latent_shape == (size // 8, size // 8, 4)
    assert target.context_shape == ((77, 768) if "t2i" in name else None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("case", "condition", "message"),
    [
        ("uvit", np.zeros((2, 7, 48)), "must be 2 class labels"),
        ("uvit_t2i", [0, 1], r"embeddings of captions \[2,7,48\], not \(2,\)"),
        ("uvit_t2i", None, r"embeddings of captions \[2,7,48\], not None"),
        ("uvit_uncond", [0, 1], "is unconditional; its condition must be None"),
    ],
)
def test_conditions_of_the_wrong_kind(case, condition, message):
    with pytest.raises(InputError, match=message):
        golden(case)[0].predict_noise(np.zeros((2, 8, 8, 4)), 0, condition)
