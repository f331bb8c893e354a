"""The DiMR family: official outputs through the target, the meaning of timesteps, released facts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.dimr import GENERATOR
from checkpoints_convert.mapping import convert
from jaxaudit.data import Preprocessing
from jaxaudit.families import dimr, get_family
from tests.golden import weights

CONFIG = {
    "generator": {
        "num_classes": 10, "depth": 5, "width": 48, "num_heads": 4, "fine_depth": 3, "fine_width": 24,
        "latent_size": 12,
    },
    "tokenizer": {
        "latent_channels": 4, "ch": 32, "ch_mult": [1], "num_res_blocks": 1, "encoder_attention_levels": [],
        "image_size": 12,
    },
}  # fmt: skip
LEVELS = np.array([0, 136, 499, 999])


@functools.cache
def golden():
    """The target of the recorded case (without an autoencoder's weights), inputs NHWC, outputs."""
    recorded, io = weights.load("dimr")
    abstract = dimr.abstract_params(CONFIG)["generator"]
    generator = jax.tree.map(np.asarray, convert(weights.state_dict(recorded, io), GENERATOR, abstract))
    params = {"generator": jax.tree.map(jnp.asarray, generator)}
    target = dimr.build_target("dimr", CONFIG, params, Preprocessing(12, "none", 12, -1.0, 1.0), {})
    inputs = weights.inputs(recorded)
    return target, np.moveaxis(inputs["x"], 1, -1), inputs["n"], inputs["y"], io


def test_official_noise_where_level_t_is_their_n_less_1():
    target, x, n, y, io = golden()
    np.testing.assert_array_equal(n, LEVELS + 1)
    eps = target.predict_noise(x, LEVELS, y)
    np.testing.assert_allclose(eps, np.moveaxis(io["out"], 1, -1), rtol=1e-4, atol=1e-4)
    assert (target.num_classes, target.null_label, target.context_shape) == (10, 10, None)


def test_activations_of_both_resolutions():
    target, x, _, y, io = golden()
    activations = target.activations(x, LEVELS, y)
    coarse, fine = [f"coarse block {i}" for i in range(5)], [f"fine block {i}" for i in range(3)]
    assert list(activations) == list(target.hidden_layers) == coarse + fine
    for name, units in activations.items():
        stage, number = (0 if "coarse" in name else 1), name[-1]
        expected = io[f"stage{stage}_block{number}_mlp_hidden"]
        np.testing.assert_allclose(
            np.reshape(units[..., ::8], expected.shape), expected, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("name", ["dimr_xl_2r", "dimr_g_2r"])
def test_released_facts(name):
    variant = get_family("dimr").VARIANTS[name]
    assert variant.preprocessing == Preprocessing(256, "adm", 256, -1.0, 1.0)
    assert variant.config["tokenizer"]["scale"] == 0.18215
    target = dimr.build_target("released", variant.config, {}, variant.preprocessing, {})
    assert (target.latent_shape, target.process.counts_timesteps) == ((32, 32, 4), True)
