import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.attacks.units import DiffusionUnits
from jaxaudit.data import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit_kernels import draws
from tests import tiny, tiny_diffusion, uneven
from tests.marks import slow_but

VIEWS = Views(num_views=3)
IDS = [f"picture/{i}" for i in range(10)]


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (10, 8, 8, 3)).astype(np.float32), rng.integers(0, 10, 10)


def drawn_views(images, ids, views, preprocessing):
    """The views that a meter with the default key looks at."""
    crc = np.array([zlib.crc32(name.encode()) for name in ids], np.uint32)
    keys = draws.image_keys(jax.random.key(0), crc)
    keys = jax.vmap(lambda key: jax.random.split(key, (views.num_views, 2)))(keys)
    return np.asarray(views.draw(jnp.asarray(images), keys[:, :, 0], preprocessing))


SCALES = {
    tiny.var_target: [range(0, 1), range(1, 5), range(5, 21)],
    tiny.rar_target: [range(16)],
    tiny.llamagen_target: [range(16)],
    uneven.target: [range(0, 1), range(1, 6), range(6, 16)],
}


@pytest.mark.parametrize("make", slow_but(SCALES, tiny.var_target, tiny.rar_target))
def test_every_unit_of_ten_pictures_agrees_with_a_slow_count(pictures, make):
    target, scales = make(), SCALES[make]
    images, labels = pictures
    meter = ActivationMeter(target, VIEWS)
    found = meter.submit(images, labels, ids=IDS).result()
    assert found.shape == (10, *meter.shape) == (10, len(scales), meter.axis.num_units)
    views = drawn_views(images, IDS, VIEWS, target.preprocessing)
    activations = target.activations(target.encode(views.reshape(-1, 8, 8, 3)), np.repeat(labels, 3))
    assert list(activations) == list(meter.axis.layers)
    layers = meter.axis.split(found)
    for name, hidden in activations.items():
        hidden = np.asarray(hidden, np.float64).reshape(10, 3, target.num_tokens, -1)
        for row in range(10):
            for scale, tokens in enumerate(scales):
                total = np.zeros(hidden.shape[-1])
                for view in range(3):
                    for token in tokens:
                        total += np.abs(hidden[row, view, token]) / (3 * len(tokens))
                np.testing.assert_allclose(layers[name][row, scale], total, atol=1e-6)


def test_stages_are_named():
    assert ActivationMeter(tiny.var_target()).stages == ("scale 1", "scale 2", "scale 3")
    assert ActivationMeter(tiny.rar_target()).stages == ("all tokens",)
    mar = ActivationMeter(tiny.mar_target())
    assert (mar.shape, mar.axis) == ((1, 128), UnitAxis(("encoder block 0", "decoder block 0"), (64, 64)))
    assert ActivationMeter(uneven.target()).axis == UnitAxis(("wide", "narrow", "middle"), (7, 2, 5))


def test_a_picture_is_measured_alike_in_any_batch_on_any_device(pictures):
    target, (images, labels) = tiny.rar_target(), pictures
    whole = ActivationMeter(target, VIEWS).submit(images, labels, ids=IDS).result()
    spread = ActivationMeter(target, VIEWS, mesh=make_mesh(4))
    order = np.random.default_rng(0).permutation(10)
    again = spread.submit(images[order], labels[order], ids=[IDS[i] for i in order]).result()
    np.testing.assert_allclose(again, whole[order], atol=1e-6)


def test_hidden_tokens_of_continuous_models_follow_the_picture(pictures):
    images, labels = pictures
    meter = ActivationMeter(tiny.mar_target(), Views(num_views=2), mask_ratio=0.5)
    first = meter.submit(images, labels, ids=IDS).result()
    assert first.shape == (10, 1, 128)
    shuffled = meter.submit(images[::-1], labels[::-1], ids=IDS[::-1]).result()
    np.testing.assert_allclose(shuffled[::-1], first, atol=1e-6)
    renamed = meter.submit(images, labels, ids=IDS[::-1]).result()
    assert not np.allclose(renamed, first, atol=1e-4)


def test_units_of_diffusion_models_see_latents_noised_at_the_timestep(pictures):
    images, _ = pictures

    def activations(params, z_t, level, condition):
        assert condition is None
        return {"second": z_t.reshape(10, 64, 3), "first": z_t.reshape(10, 64, 3) + level}

    functions = dataclasses.replace(
        tiny_diffusion.target().functions, encode=lambda params, images: images, activations=activations
    )
    units = DiffusionUnits(functions, ("first", "second"), level=7, signal=0.6, noise=0.8)
    keys = jax.random.split(jax.random.key(3), 10)
    found = np.asarray(units(None, jnp.asarray(images), None, keys))
    noised = 0.6 * images + 0.8 * np.asarray(draws.noises(keys, 1, (8, 8, 3)))[0]
    np.testing.assert_allclose(found[:, 0, :3], np.abs(noised + 7).mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(found[:, 0, 3:], np.abs(noised).mean((1, 2)), atol=1e-5)


def test_views_of_small_pictures_are_shifts_by_a_pixel(pictures):
    images, _ = pictures
    views = drawn_views(images, IDS, Views(num_views=20), tiny.DIGITS)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    seen = set()
    for row in range(10):
        for view in views[row]:
            places = [
                (top, left)
                for top in range(3)
                for left in range(3)
                if np.array_equal(view, padded[row, top : top + 8, left : left + 8])
            ]
            assert len(places) == 1
            seen.update(places)
    assert len(seen) == 9


def test_views_of_large_pictures_are_crops_of_a_larger_one_half_of_them_mirrored():
    preprocessing = Preprocessing(image_size=64, resize="lanczos", short_side=64, low=-1.0, high=1.0)
    views = Views(num_views=12, flip=True)
    canvas = views.canvas(preprocessing)
    assert (canvas.image_size, canvas.short_side) == (72, 72)
    image = np.random.default_rng(0).uniform(size=(1, 72, 72, 3)).astype(np.float32)
    mirrored = 0
    for view in drawn_views(image, ["x"], views, preprocessing)[0]:
        windows = np.lib.stride_tricks.sliding_window_view(image[0], (64, 64), axis=(0, 1))
        found = [(windows == np.moveaxis(each, -1, 0)).all((2, 3, 4)).sum() for each in (view, view[:, ::-1])]
        assert sorted(found) == [0, 1]
        mirrored += found[1]
    assert 2 <= mirrored <= 10


def test_a_single_view_is_the_picture_itself(pictures):
    images, _ = pictures
    np.testing.assert_array_equal(drawn_views(images, IDS, Views(1), tiny.DIGITS)[:, 0], images)
    assert Views(1).canvas(tiny.DIGITS) == tiny.DIGITS


def altered(activations=None, **changes):
    """The uneven target with another field or function."""
    target = uneven.target()
    if activations:
        changes["functions"] = dataclasses.replace(target.functions, activations=activations)
    return dataclasses.replace(target, **changes)


def doubled(*inputs):
    shown = uneven.target().functions.activations(*inputs)
    return {name: jnp.concatenate([hidden, hidden], axis=-1) for name, hidden in shown.items()}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Views(0), "num_views=0"),
        (lambda: Views(1, flip=True), "single view"),
        (lambda: ActivationMeter(tiny.var_target(), timestep=100), "timestep=100 does not apply"),
        (lambda: ActivationMeter(tiny.mar_target(), mask_ratio=1.5), "mask_ratio=1.5"),
        (lambda: ActivationMeter(altered(hidden_layers={})), "uneven names no hidden layers"),
        (lambda: ActivationMeter(altered(activations=doubled)), "show 28 units, its hidden layers have 14"),
    ],
)
def test_options_that_do_not_fit_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.usefixtures("unchecked")
def test_wrong_batches_are_refused(pictures):
    images, labels = pictures
    meter = ActivationMeter(tiny.rar_target())
    with pytest.raises(InputError, match="do not fit"):
        meter.submit(images[:, :7], labels, ids=IDS)
    with pytest.raises(InputError, match="Label 11 is out of range"):
        meter.submit(images, np.full(10, 11), ids=IDS)
