"""The MDT family: official outputs through the target, the score of hidden tokens, released facts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from checkpoints_convert.mapping import convert
from checkpoints_convert.mdt import GENERATOR
from jaxaudit.configs import from_dict
from jaxaudit.data import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, mdt
from jaxaudit.families.random_params import random_params
from jaxaudit.models.mdt import MDT, MDTConfig
from jaxaudit_kernels import draws
from jaxaudit_kernels.process import add_noise, noise_levels
from tests.golden import weights

SMALL = {"num_classes": 10, "decoder_depth": 2, "width": 64, "num_heads": 4, "latent_size": 8}
GENERATORS = {
    "mdt_v1": {"depth": 4, "skips": False, "hidden_share": 0.3, **SMALL},
    "mdt_v2": {"depth": 6, **SMALL},
}
TOKENIZER = {
    "latent_channels": 4,
    "ch": 32,
    "ch_mult": [1],
    "num_res_blocks": 1,
    "encoder_attention_levels": [],
    "image_size": 8,
}
PIXELS = {
    "num_classes": 10, "depth": 3, "decoder_depth": 1, "width": 16, "num_heads": 2, "latent_size": 8,
    "latent_channels": 3,
}  # fmt: skip
PREPROCESSING = Preprocessing(8, "none", 8, -1.0, 1.0)


@functools.cache
def golden(case):
    """The target of a recorded case (without an autoencoder's weights), inputs NHWC, outputs."""
    recorded, io = weights.load(case)
    config = {"generator": GENERATORS[case], "tokenizer": TOKENIZER}
    abstract = mdt.abstract_params(config)["generator"]
    generator = jax.tree.map(np.asarray, convert(weights.state_dict(recorded, io), GENERATOR, abstract))
    params = {"generator": jax.tree.map(jnp.asarray, generator)}
    target = mdt.build_target(case, config, params, PREPROCESSING, {})
    inputs = weights.inputs(recorded)
    return target, np.moveaxis(inputs["x"], 1, -1), inputs["t"], inputs["y"], io


@pytest.mark.parametrize("case", sorted(GENERATORS))
def test_official_noise_and_activations(case):
    target, x, t, y, io = golden(case)
    eps = target.predict_noise(x, t, y)
    np.testing.assert_allclose(eps, np.moveaxis(io["out"], 1, -1)[..., :4], rtol=1e-4, atol=1e-4)
    activations = target.activations(x, t, y)
    assert list(activations) == list(target.hidden_layers)
    last = "block 3" if case == "mdt_v1" else "de block 1"
    expected = io[f"{last.replace(' ', '_').replace('k_', 'k')}_mlp_hidden"]
    np.testing.assert_allclose(activations[last][..., ::4], expected, rtol=1e-4, atol=1e-4)


def test_hidden_layers_from_the_first_block_to_the_last():
    names = ["en inblock 0", "en inblock 1", "en outblock 0", "en outblock 1", "de block 0", "de block 1"]
    assert list(golden("mdt_v2")[0].hidden_layers) == names


@functools.cache
def pixels():
    config = {"generator": PIXELS, "tokenizer": None}
    params = random_params(mdt.abstract_params(config), seed=1)
    return mdt.build_target("pixels", config, params, PREPROCESSING, {"fingerprint": "tiny"})


def test_the_masked_gap_is_what_hidden_tokens_cost():
    """Each image hides the tokens that follow from its id, the same at every timestep."""
    random, target, ids = np.random.default_rng(0), pixels(), ["a", "b", "c"]
    images, labels = random.uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32), np.array([1, 2, 10])
    names = ["masked_gap_100", "masked_gap_700", "multiple_loss_700"]
    scores = jaxaudit.score(target, images, labels, names=names, ids=ids)
    keys = draws.image_keys(jax.random.key(0), draws.id_numbers(ids))
    noise, hidden = draws.noises(keys, 5, (8, 8, 3))[0], draws.hidden_positions(keys, 16, 7)
    network = jax.jit(MDT(from_dict(MDTConfig, PIXELS)).apply)

    def error(t, *hidden):
        z_t = add_noise(jnp.asarray(images), noise_levels(target.process, jnp.full(3, t)), noise)
        out = network({"params": target.params["generator"]}, z_t, jnp.full(3, t), labels, *hidden)
        return np.sqrt(np.square(noise - out[..., :3]).sum((1, 2, 3)))

    for t in (100, 700):
        gap = error(t, hidden) - error(t)
        np.testing.assert_allclose(scores[f"masked_gap_{t}"], gap, rtol=1e-3, atol=1e-5)
        assert np.all(np.abs(gap) > 1e-3)
    np.testing.assert_allclose(scores["multiple_loss_700"], -error(700), rtol=1e-5)


def test_no_kernel_adds_its_biases():
    config = {"generator": PIXELS, "tokenizer": None}
    build = functools.partial(mdt.build_target, "x", config, {}, PREPROCESSING, {}, dtype=jnp.bfloat16)
    assert build(platform="tpu").functions is build(platform="tpu", attention="xla").functions
    with pytest.raises(InputError, match="attention='pallas': its logits have biases, which no kernel adds"):
        build(platform="tpu", attention="pallas")


@pytest.mark.parametrize("name", ["mdt_v1_xl_2", "mdt_v2_xl_2"])
def test_released_facts(name):
    variant = get_family("mdt").VARIANTS[name]
    assert variant.preprocessing == Preprocessing(256, "adm", 256, -1.0, 1.0)
    assert (variant.config["tokenizer"]["scale"], variant.licence) == (0.18215, "Apache-2.0")
    target = mdt.build_target("released", variant.config, {}, variant.preprocessing, {})
    assert (target.latent_shape, target.process.num_levels) == ((32, 32, 4), 1000)
