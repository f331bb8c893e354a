"""The DiT family, and what it shares with U-ViT: official outputs through the target, layouts, properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.dit import GENERATOR
from checkpoints_convert.mapping import convert
from jaxaudit.configs import from_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import dit, get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig
from jaxaudit_kernels.learned_variance import noise_losses
from jaxaudit_kernels.process import add_noise, noise_levels
from tests.golden import weights

CONFIG = {
    "generator": {"num_classes": 10, "depth": 3, "width": 64, "num_heads": 4, "latent_size": 8},
    "tokenizer": {
        "latent_channels": 4,
        "ch": 32,
        "ch_mult": [1],
        "num_res_blocks": 1,
        "encoder_attention_levels": [],
        "scale": 0.18215,
        "image_size": 8,
    },
}
PREPROCESSING = Preprocessing(8, "none", 8, -1.0, 1.0)
PIXELS = {
    "generator": {
        "num_classes": 2,
        "depth": 1,
        "width": 16,
        "num_heads": 2,
        "latent_size": 4,
        "latent_channels": 3,
    },
    "tokenizer": None,
}


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


@functools.cache
def golden():
    """The target of the recorded case with a small random autoencoder, inputs NHWC, outputs."""
    recorded, io = weights.load("dit")
    abstract = dit.abstract_params(CONFIG)
    converted = convert(weights.state_dict(recorded, io), GENERATOR, abstract["generator"])
    generator = jax.tree.map(np.asarray, converted)
    params = {
        "generator": jax.tree.map(jnp.asarray, generator),
        "tokenizer": random_params(abstract["tokenizer"]),
    }
    target = dit.build_target("golden", CONFIG, params, PREPROCESSING, {})
    return target, {name: nhwc(x) for name, x in weights.inputs(recorded).items()}, io


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


def test_official_noise_and_activations():
    target, inputs, io = golden()
    close(target.predict_noise(inputs["x"], inputs["t"], inputs["y"]), nhwc(io["out"])[..., :4])
    activations = target.activations(inputs["x"], inputs["t"], inputs["y"])
    assert list(activations) == list(target.hidden_layers) == ["block 0", "block 1", "block 2"]
    for i, hidden in enumerate(activations.values()):
        close(hidden[..., ::4], io[f"block{i}_mlp_hidden"])


def test_official_losses_from_the_functions():
    target, inputs, io = golden()

    @jax.jit
    def losses(params, x_start, t, noise, labels):
        x_t = add_noise(x_start, noise_levels(target.process, t), noise)
        seen = target.functions.denoise(params, x_t, t, labels)
        return noise_losses(target.process, seen, x_start, t, noise)

    found = losses(target.params, inputs["x_start"], inputs["loss_t"], inputs["noise"], inputs["y"])
    for name, loss in found.items():
        close(loss, io[name])


def test_facts():
    target, _, io = golden()
    close(target.process.alphas_cumprod, io["alphas_cumprod"], rtol=1e-6, atol=0)
    assert (target.process.num_levels, target.num_classes, target.null_label) == (1000, 10, 10)
    assert (target.latent_shape, target.context_shape) == ((8, 8, 4), None)


def test_pictures_to_latents_and_back():
    target, *_ = golden()
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    tokenizer = KLAutoencoder(from_dict(KLAutoencoderConfig, CONFIG["tokenizer"]))

    @jax.jit
    def expected(params, images):
        moments = tokenizer.apply({"params": params}, images, method="moments")
        return moments, tokenizer.apply({"params": params}, 0.18215 * moments[..., :4], method="decode")

    moments, pictures = expected(target.params["tokenizer"], images)
    latents = target.encode(images)
    close(latents, 0.18215 * moments[..., :4], atol=1e-6)
    close(target.decode(latents), pictures, atol=1e-5)
    keys = jax.random.split(jax.random.key(0), 2)
    noise = jax.vmap(lambda key: jax.random.normal(key, (8, 8, 4)))(keys)
    drawn = 0.18215 * (moments[..., :4] + np.exp(0.5 * moments[..., 4:]) * noise)
    close(target.encode(images, keys), drawn, atol=1e-5)


def test_gradients_of_one_image_are_those_in_a_batch_and_in_a_vmap():
    target, inputs, _ = golden()
    t, labels, noise = (jnp.asarray(inputs[name]) for name in ("t", "y", "noise"))

    def loss(z_t, t, label, noise):
        error = target.functions.denoise(target.params, z_t[None], t[None], label[None]).eps[0] - noise
        return jnp.sum(error**2)

    def batch_loss(z_t):
        return jnp.sum((target.functions.denoise(target.params, z_t, t, labels).eps - noise) ** 2)

    @jax.jit
    def gradients(z_t):
        return jax.vmap(jax.grad(loss))(z_t, t, labels, noise), jax.grad(batch_loss)(z_t)

    each, together = gradients(inputs["x"])
    largest = np.abs(together).max()
    np.testing.assert_allclose(each / largest, together / largest, atol=1e-5)
    assert np.all(np.abs(each).max(axis=(1, 2, 3)) > 0)


def test_all_rows_at_once_give_what_one_by_one_do():
    rows, inputs, io = golden()
    target = dit.build_target(
        "whole", CONFIG, rows.params, PREPROCESSING, {}, platform="tpu", attention="xla"
    )
    close(target.predict_noise(inputs["x"], inputs["t"], inputs["y"]), nhwc(io["out"])[..., :4])
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    close(target.encode(images, keys), rows.encode(images, keys), atol=1e-5)


def test_one_level_serves_all_images():
    target, inputs, _ = golden()
    x, y = inputs["x"], inputs["y"]
    expected = target.predict_noise(x, np.full(4, 100), y)
    np.testing.assert_allclose(target.predict_noise(x, 100, y), expected, atol=1e-6)


def test_models_in_pixel_space():
    abstract = dit.abstract_params(PIXELS)
    assert sorted(abstract) == ["generator"]
    preprocessing = Preprocessing(4, "none", 4, -1.0, 1.0)
    target = dit.build_target("pixels", PIXELS, random_params(abstract), preprocessing, {})
    images = np.random.default_rng(0).uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(target.encode(images), images)
    np.testing.assert_array_equal(target.decode(2 * images), np.clip(2 * images, -1, 1))
    assert target.predict_noise(images, 0, np.array([0, target.null_label])).shape == (2, 4, 4, 3)
    with pytest.raises(InputError, match="latent_channels must be 3, not 4"):
        dit.abstract_params(PIXELS | {"generator": {"latent_channels": 4}})


@pytest.mark.parametrize("size", [256, 512])
def test_released_facts(size):
    variant = get_family("dit").VARIANTS[f"dit_xl_2_{size}"]
    assert variant.preprocessing == Preprocessing(size, "adm", size, -1.0, 1.0)
    assert (variant.config["tokenizer"]["scale"], variant.licence) == (0.18215, "CC-BY-NC-4.0")
    target = dit.build_target("released", variant.config, {}, variant.preprocessing, {})
    assert target.latent_shape == (size // 8, size // 8, 4)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_t": np.zeros((2, 8, 8, 3))}, r"expected \[B,8,8,4\]"),
        ({"level": 1000}, r"Level 1000 is not in 0\.\.999"),
        ({"level": [0, -1]}, r"Level -1 is not in 0\.\.999"),
        ({"level": 0.5}, "an int or 2 ints"),
        ({"level": [0, 1, 2]}, "an int or 2 ints"),
        ({"condition": None}, "must be 2 class labels"),
        ({"condition": [0]}, "must be 2 class labels"),
        ({"condition": [0, 11]}, "Label 11 is out of range"),
    ],
)
def test_unusable_arguments(changes, message):
    arguments = {"z_t": np.zeros((2, 8, 8, 4)), "level": 0, "condition": [0, 1]} | changes
    with pytest.raises(InputError, match=message):
        golden()[0].predict_noise(**arguments)


@pytest.mark.parametrize(
    ("part", "fields", "message"),
    [
        ("generator", {"latent_size": 10}, "latent_size=10, its tokenizer latent_size=8"),
        ("tokenizer", {"latent_channels": 16}, "latent_channels=4, its tokenizer latent_channels=16"),
        ("generator", {"hidden": 3}, "hidden"),
    ],
)
def test_unusable_configs(part, fields, message):
    with pytest.raises(InputError, match=message):
        dit.abstract_params(CONFIG | {part: CONFIG[part] | fields})


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ({"name": "flow"}, "Process 'flow' is none of linear_beta"),
        ({"name": "linear_flow", "time_of": "day"}, "time_of='day' is neither noise nor data"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_unusable_processes(process, message):
    with pytest.raises(InputError, match=message):
        dit.abstract_params(CONFIG | {"process": process})


def test_the_same_network_under_another_process():
    """A flow's velocity, by SiT's formula ε̂ = x − t v, from the official output for x at the time t."""
    whole, inputs, _ = golden()
    flow = dit.build_target(
        "flow",
        CONFIG | {"process": {"name": "linear_flow", "time_of": "data"}},
        whole.params,
        PREPROCESSING,
        {},
    )
    assert dit.build_target("dit", CONFIG, {}, PREPROCESSING, {}).process is whole.process is not flow.process
    level = 300
    t = flow.process.times[level]
    scale = np.hypot(t, 1 - t)
    network = dit.dit.DiT(from_dict(dit.dit.DiTConfig, CONFIG["generator"]))
    v = jax.jit(network.apply)(
        {"params": whole.params["generator"]}, inputs["x"], jnp.full(4, t, jnp.float32), inputs["y"]
    )[..., :4]
    close(
        flow.predict_noise(inputs["x"] / scale, level, inputs["y"]), inputs["x"] - t * v, rtol=1e-5, atol=1e-5
    )


def test_unusable_preprocessing_and_images():
    with pytest.raises(InputError, match="makes 256 px pictures; the target reads 8 px"):
        dit.build_target("wrong", CONFIG, {}, Preprocessing(256, "adm", 256, -1.0, 1.0), {})
    with pytest.raises(InputError, match=r"expected \[B,8,8,3\]"):
        golden()[0].encode(np.zeros((2, 8, 7, 3)))
