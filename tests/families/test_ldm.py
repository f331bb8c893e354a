"""Latent diffusion as a target: what each family predicts, null labels, scores, units."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.localization import ActivationMeter
from jaxaudit.attacks.mitigation import scale_units
from jaxaudit.attacks.runner import Scorer, score
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit_kernels.processes import declared
from tests.families.test_contract import UNET

PIXELS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)
FIRST_STAGE = {"latent_channels": 3, "ch": 8, "ch_mult": [1, 1], "num_res_blocks": 1, "image_size": 8}
CONFIGS = {
    "ldm": {
        "generator": UNET | {"num_classes": 10, "null_label": True},
        "tokenizer": FIRST_STAGE | {"vocab_size": 16, "attention_levels": [1]},
    },
    "sd": {
        "generator": UNET | {"num_classes": 0, "context_length": 2},
        "tokenizer": FIRST_STAGE | {"encoder_attention_levels": []},
    },
}
SCORES = ("denoising_loss", "clid_100")
EITHER = ["ldm", pytest.param("sd", marks=pytest.mark.slow)]
"""Both of them in the slow part: the networks are the same but for the attention to the context."""


def build(family, config, **options):
    family = get_family(family)
    params = random_params(family.abstract_params(config), seed=1)
    return family.build_target("tiny", config, params, PIXELS, {"fingerprint": "tiny"}, **options)


@functools.cache
def tiny(family):
    return build(family, CONFIGS[family])


def inputs(target, batch=8):
    """Pictures, classes or captions, and the empty caption."""
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (batch, 8, 8, 3)).astype(np.float32)
    if target.context_shape:
        captions = random.standard_normal((batch, *target.context_shape)).astype(np.float32)
        return images, captions, np.zeros(target.context_shape, np.float32)
    return images, np.arange(batch, dtype=np.int32), None


@pytest.mark.parametrize(
    ("family", "names"),
    [("sd", SCORES), ("ldm", (*SCORES, "gradient_masking_100"))],
)
@pytest.mark.slow
def test_scores_on_eight_devices_are_those_of_one(family, names):
    target = tiny(family)
    images, condition, null = inputs(target)
    found = score(target, images, condition, null_context=null, names=names)
    assert set(found) == set(names)
    one = Scorer(target, names, null_context=null, mesh=make_mesh(1))
    alone = one.submit(images, condition).result()
    for name, values in found.items():
        assert np.isfinite(values).all()
        assert np.ptp(values) > 0
        np.testing.assert_allclose(values, alone[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("family", EITHER)
def test_half_precision_is_finite_and_near(family):
    images, condition, _ = inputs(tiny(family))
    half, whole = build(family, CONFIGS[family], dtype=jnp.bfloat16), tiny(family)
    latents = whole.encode(images)
    eps = [np.asarray(target.predict_noise(latents, 500, condition)) for target in (half, whole)]
    assert np.isfinite(half.decode(half.encode(images))).all()
    assert np.sqrt(np.mean((eps[0] - eps[1]) ** 2)) < 0.05 * np.std(eps[1])


@pytest.mark.slow
def test_units_are_measured_and_scaled():
    """Half the values of a gated layer halves its units."""
    target = tiny("ldm")
    assert target.hidden_widths == dict.fromkeys(
        ["input transformer 3", "middle transformer", "output transformer 0", "output transformer 1"], 64
    )
    images, labels, _ = inputs(target)
    meter = ActivationMeter(target)
    side = meter.views.canvas(target.preprocessing).image_size
    canvases = np.resize(images, (8, side, side, 3))
    units = meter.submit(canvases, labels, ids=[str(label) for label in labels]).result()
    assert np.isfinite(units).all()
    first = next(iter(target.hidden_widths))
    z_t = target.encode(images)
    before = target.activations(z_t, 100, labels)[first]
    kernel = target.params["generator"]["input_transformer_3"]["mlp"]["fc1"]
    assert np.abs(kernel["bias"]).max() > 0
    after = scale_units(target, {first: np.arange(64) < 32}, 0.5).activations(z_t, 100, labels)[first]
    np.testing.assert_allclose(after[..., 32:], before[..., 32:], rtol=1e-5, atol=1e-6)
    assert np.abs(after[..., :32]).mean() < 0.6 * np.abs(before[..., :32]).mean()


def test_a_model_without_a_null_label_has_no_unconditional_view():
    config = {"generator": CONFIGS["ldm"]["generator"] | {"null_label": False}, "tokenizer": None}
    target = build("ldm", config | {"generator": config["generator"] | {"latent_size": 8}})
    assert (target.num_classes, target.null_label) == (10, None)
    images, labels, _ = inputs(target)
    with pytest.raises(InputError, match=r"Label 10 is out of range: .* 0..9 \(it has no null label\)"):
        target.predict_noise(images, 0, np.full(8, 10))
    with pytest.raises(InputError, match=r"Label 10 is out of range: .* 0..9 \(it has no null label\)"):
        score(target, images, np.full(8, 10), names=["denoising_loss"])
    with pytest.raises(InputError, match="tiny has no null label"):
        score(target, images, labels, names=["clid_100"])


def test_models_of_v_are_asked_for_noise():
    """The process of the config says what the same network has predicted."""
    config = CONFIGS["sd"]
    predicts = {**config, "process": {"name": "scaled_linear_beta", "predicts": "v"}}
    images, captions, _ = inputs(tiny("sd"))
    z_t = tiny("sd").encode(images)
    out = tiny("sd").predict_noise(z_t, 300, captions)
    alpha = declared(predicts["process"]).alphas_cumprod[300]
    expected = np.sqrt(alpha) * out + np.sqrt(1 - alpha) * z_t
    np.testing.assert_allclose(build("sd", predicts).predict_noise(z_t, 300, captions), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "latents", "predicts"),
    [
        ("ldm_8_cin256", 256, (32, 32, 4), (0.0, 1.0)),
        ("ldm_4_cin256", 256, (64, 64, 3), (0.0, 1.0)),
        ("sd_1_4", 512, (64, 64, 4), (0.0, 1.0)),
        ("sd_2_1_base", 512, (64, 64, 4), (0.0, 1.0)),
        ("sd_2_1", 768, (96, 96, 4), None),
    ],
)
def test_released_facts(name, size, latents, predicts):
    family = name.split("_")[0]
    variant = get_family(family).VARIANTS[name]
    assert variant.preprocessing.image_size == size
    target = get_family(family).build_target(name, variant.config, {}, variant.preprocessing, {})
    assert target.latent_shape == latents
    assert target.null_label == (1000 if name == "ldm_4_cin256" else None)
    noise = target.process.predicts.noise
    assert np.all(np.asarray(noise) == 1.0) == (predicts is not None)
