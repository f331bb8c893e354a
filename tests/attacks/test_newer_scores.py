"""Newer scores of diffusion models: written out in NumPy, what must not matter, and what is refused."""

import dataclasses
import functools
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks import diffusion
from jaxaudit.attacks.discrepancy import CLID_TIMESTEPS
from jaxaudit.attacks.fluctuation import FLUCTUATION_TIMESTEPS, SHARES
from jaxaudit.attacks.mitigation import add_output_noise, add_told_noise
from jaxaudit.attacks.predicted_noise import SIMA_TIMESTEPS
from jaxaudit.attacks.runner import Scorer
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.attacks.weight_gradients import GRADIENT_TIMESTEPS
from jaxaudit.errors import InputError
from jaxaudit.families import dit
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit_kernels import draws
from jaxaudit_kernels.processes import linear_flow
from tests.tiny_diffusion import FROM_ONE, target

B = 5
IDS = [f"train/{i}.png" for i in range(B)]
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(-1, 1, (B, 8, 8, 3)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, B)
NAMES = (
    *(f"sima_{t}{form}" for t in SIMA_TIMESTEPS for form in ("", "_ref")),
    *(f"sima_clean_{t}" for t in SIMA_TIMESTEPS[1:]),
    *("sima_mc_10", "noise_agg", "pfami", "clid", "gsa1", "gsa2"),
    *(f"{mask}_{of}_100" for mask in ("pullback", "random") for of in ("sima", "loss")),
)
PLAIN = (0, *range(2, 48, 2), *range(3, 11, 2))
"""28 of the 48 coordinates of the latents, those that `stretching` stretches."""


def stretching(params, latents):
    """A decoder that moves 28 coordinates a hundred times as far as the others."""
    del params
    scale = jnp.ones(48).at[jnp.array(PLAIN)].set(100.0).reshape(1, 4, 4, 3)
    return jnp.repeat(jnp.repeat(scale * latents, 2, axis=1), 2, axis=2)


@functools.cache
def stretched():
    plain = target(process=FROM_ONE)
    return dataclasses.replace(plain, functions=dataclasses.replace(plain.functions, reconstruct=stretching))


@functools.cache
def scores():
    return Scorer(stretched(), NAMES).submit(IMAGES, LABELS, ids=IDS).result()


def encode(images):
    return np.asarray(images, np.float64).reshape(-1, 4, 2, 4, 2, 3).mean((2, 4))


class Image:
    """One image, and the tiny network's look at it, in NumPy."""

    def __init__(self, row, noises):
        self.z, self.label, self.noises = encode(IMAGES[row])[0], int(LABELS[row]), noises
        weights = target(process=FROM_ONE).params["generator"]
        self.mix, self.labels = (np.asarray(weights[name], np.float64) for name in ("mix", "labels"))

    def noised(self, t, noise, z=None):
        level = FROM_ONE.alphas_cumprod[t]
        return np.sqrt(level) * (self.z if z is None else z) + np.sqrt(1 - level) * noise

    def see(self, z, t, label=None):
        """ε̂ at level t, of which the network is told t + 1."""
        label = self.label if label is None else label
        return np.tanh((1 + (t + 1) / 1000) * z @ self.mix + self.labels[label])[..., :3]

    def loss(self, t, noise, z=None, label=None):
        return np.sum((noise - self.see(self.noised(t, noise, z), t, label)) ** 2)


@functools.cache
def pictures():
    numbers = jnp.array([zlib.crc32(each.encode()) for each in IDS], jnp.uint32)
    noises = np.asarray(draws.noises(draws.image_keys(jax.random.key(0), numbers), 20, (4, 4, 3)), np.float64)
    return [Image(row, noises[:, row]) for row in range(B)]


def check(name, of_image):
    expected = [of_image(image) for image in pictures()]
    np.testing.assert_allclose(scores()[name], expected, rtol=2e-4, atol=1e-5, err_msg=name)


def four(x):
    return np.sum(x**4) ** 0.25


def test_size_of_the_predicted_noise():
    for t in SIMA_TIMESTEPS:
        check(f"sima_{t}", lambda image, t=t: -four(image.see(image.noised(t, image.noises[0]), t)))
        check(f"sima_{t}_ref", lambda image, t=t: -four(image.see(image.z, t - 1)))  # told t itself
    for t in SIMA_TIMESTEPS[1:]:
        signal = np.sqrt(FROM_ONE.alphas_cumprod[t])
        check(f"sima_clean_{t}", lambda image, t=t, a=signal: -four(image.see(a * image.z, t)))
    check(
        "sima_mc_10",
        lambda image: -four(sum(image.see(image.noised(100, e), 100) for e in image.noises[:10]) / 10),
    )


def test_noises_along_the_chain():
    def of_image(image):
        z, seen = image.noised(80, image.noises[0]), []
        for t in (80, 70, 60, 50, 40):
            seen.append(image.see(z, t))
            now, then = FROM_ONE.alphas_cumprod[t], FROM_ONE.alphas_cumprod[t - 10]
            clean = (z - np.sqrt(1 - now) * seen[-1]) / np.sqrt(now)
            z = np.sqrt(then) * clean + np.sqrt(1 - then) * seen[-1]
        return -np.log(np.mean([np.sum((a - b) ** 2) for a in seen for b in seen]) + 1e-6)

    check("noise_agg", of_image)


def crop(picture, share):
    """Bilinear, pixel by pixel."""
    size = len(picture)

    def between(values, place):
        low = int(np.floor(place))
        high = min(low + 1, size - 1)
        return values[low] + (place - low) * (values[high] - values[low])

    places = [size / 2 + share * (i + 0.5 - size / 2) - 0.5 for i in range(size)]
    return np.array([[between(between(picture, y), x) for x in places] for y in places])


def test_fluctuation():
    assert (SHARES[0], SHARES[-1], len(SHARES)) == (0.95, 0.7, 10)

    def of_image(image):
        picture = IMAGES[pictures().index(image)].astype(np.float64)
        crops, noise, total = [encode(crop(picture, share))[0] for share in SHARES], image.noises[0], 0.0
        for t in FLUCTUATION_TIMESTEPS:
            own = image.loss(t, noise)
            total += np.mean([own - image.loss(t, noise, z) for z in crops]) / (own + 1e-6)
        return -total

    check("pfami", of_image)


def test_losses_with_and_without_the_condition():
    def mean(image, label):
        pairs = zip(CLID_TIMESTEPS, image.noises, strict=False)
        return np.mean([image.loss(t, noise, label=label) for t, noise in pairs]) / 48

    check("clid/likelihood", lambda image: -mean(image, None))
    check("clid/discrepancy", lambda image: mean(image, 5) - mean(image, None))


def test_gradients_by_the_weights():
    """Of the tanh of a linear map, by hand."""

    def gradients(image):
        for t, noise in zip(GRADIENT_TIMESTEPS, image.noises, strict=True):
            z = image.noised(t, noise)
            seen = image.see(z, t)
            slope = np.zeros((4, 4, 6))
            slope[..., :3] = 2 * (seen - noise) / 48 * (1 - seen**2)
            labels = np.zeros((6, 6))
            labels[image.label] = slope.sum((0, 1))
            yield {"mix": (1 + (t + 1) / 1000) * np.einsum("hwc,hwd->cd", z, slope), "labels": labels}

    for tensor in ("mix", "labels"):
        check(
            f"gsa1/{tensor}",
            lambda image, tensor=tensor: np.log(np.linalg.norm(sum(g[tensor] for g in gradients(image)))),
        )
        check(
            f"gsa2/{tensor}",
            lambda image, tensor=tensor: np.log(sum(np.linalg.norm(g[tensor]) for g in gradients(image))),
        )


def test_gradients_by_the_weights_of_a_target_whose_noise_stands_in_its_parameters():
    constant, told = (
        Scorer(add(target(), 0.4, seed=3), ["gsa1"]) for add in (add_output_noise, add_told_noise)
    )
    expected = constant.submit(IMAGES, LABELS, ids=IDS).result()
    for name, values in told.submit(IMAGES, LABELS, ids=IDS).result().items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, err_msg=name)
    assert told.flops_per_image() == constant.flops_per_image()


def test_coordinates_that_the_decoder_stretches():
    def kept(image):
        seen, noise = image.see(image.noised(100, image.noises[0]), 100), image.noises[0]
        return seen.ravel()[list(PLAIN)], (noise - seen).ravel()[list(PLAIN)]

    check("pullback_sima_100", lambda image: -four(kept(image)[0]))
    check("pullback_loss_100", lambda image: -np.linalg.norm(kept(image)[1]))
    for of in ("sima", "loss"):
        assert not np.isclose(scores()[f"random_{of}_100"], scores()[f"pullback_{of}_100"]).any()


def even(params, x, time, condition):
    """Noise of equal size everywhere."""
    del params, time, condition
    return 0.7 * jnp.sign(x)


def test_a_mask_of_equal_values_says_nothing():
    names = ["pullback_sima_100", "random_sima_100"]
    found = jaxaudit.score(target("nothing", network=even), IMAGES, names=names)
    np.testing.assert_allclose(found["pullback_sima_100"], -((28 * 0.7**4) ** 0.25), rtol=1e-5)
    np.testing.assert_allclose(found["random_sima_100"], found["pullback_sima_100"], rtol=1e-6)


def test_a_picture_that_equals_its_crops_has_no_fluctuation():
    grey = np.broadcast_to(np.linspace(-0.8, 0.8, B, dtype=np.float32)[:, None, None, None], IMAGES.shape)
    found = jaxaudit.score(target(), grey, LABELS, names="pfami")
    np.testing.assert_allclose(found["pfami"], 0, atol=1e-4)


def test_devices_and_padding_do_not_matter():
    names = ["sima_mc_10", "gsa2", "pullback_loss_100", "random_sima_100"]
    scorer = Scorer(stretched(), names, mesh=make_mesh(8))
    spread = scorer.submit(IMAGES[:3], LABELS[:3], ids=IDS[:3], padded_size=8).result()
    for name, values in spread.items():
        np.testing.assert_allclose(values, scores()[name][:3], rtol=1e-4, atol=1e-5, err_msg=name)


def test_passes():
    def passes(*names):
        return make_step(target(), names).passes()

    alone = passes(*NAMES, "arl")
    assert {alone[f"sima_{t}"] for t in SIMA_TIMESTEPS} == {1}
    expected = {"sima_mc_10": 10, "noise_agg": 5, "pfami": 110, "clid": 6, "gsa1": 40, "arl": 0}
    assert {name: alone[name] for name in expected} == expected
    step = make_step(target(), ["multiple_loss_?00", "sima_0", "sima_100", "sima_200", "sima_mc_10"])
    assert step.evaluations()["planned"].passes == 10 + 9  # one noise is that of the losses
    assert make_step(target(), ["gsa1", "gsa2"]).evaluations()["planned"].weight_gradients == 20
    assert make_step(target(), "pfami").evaluations()["planned"].encodings == 10
    products = 2  # forward, and the gradient by the matrix
    assert Scorer(target(), "gsa1").flops_per_image() == 20 * products * (2 * 16 * 3 * 6)


def test_the_velocity_loss_is_cited_by_its_number():
    (number,) = re.findall(r"\((\d+)\) +velocity_loss_u", diffusion.__doc__)
    assert f"there is as much noise, ({number}) is (4) in other units" in diffusion.__doc__


def test_a_velocity_curve_is_that_of_the_velocity_losses():
    flow = target(process=linear_flow(), network=lambda *given: 0.3 * given[1])
    scorer = Scorer(flow, ["velocity_curve", "velocity_loss_*"])
    assert scorer.evaluations()["planned"]["passes"] == 9
    found = scorer.submit(IMAGES, LABELS).result()
    for u in range(10, 100, 10):
        np.testing.assert_array_equal(found[f"velocity_curve/{u}"], -found[f"velocity_loss_{u}"])


LATENTS = encode(IMAGES).astype(np.float32)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_had_is_refused():
    with pytest.raises(InputError, match="Score pfami is measured on images; latents are not enough"):
        jaxaudit.score(target(), labels=LABELS, latents=LATENTS, names="pfami")
    with pytest.raises(InputError, match="Score sima_mc_10 needs 10 noises, not 5"):
        jaxaudit.score(target(), IMAGES, LABELS, noise=np.stack([LATENTS] * 5), names=["sima_mc_10"])
    with pytest.raises(InputError, match="velocity_curve cannot be had: tiny predicts no velocity"):
        make_step(target(), "velocity_curve")
    with pytest.raises(InputError, match="clid cannot be had: tiny is unconditional"):
        make_step(target("nothing"), "clid")
    with pytest.raises(InputError, match="gsa1 cannot be had: it needs the model's gradients"):
        make_step(target(), "gsa1", access="gray-box")
    config = {"generator": {"latent_size": 8, "latent_channels": 3, "depth": 1, "width": 8, "num_heads": 1}}
    pixels = dit.build_target("pixels", config | {"tokenizer": None}, {}, target().preprocessing, {})
    for name in ("pullback_sima_100", "random_sima_100"):
        with pytest.raises(InputError, match=f"{name} cannot be had: pixels has no autoencoder"):
            make_step(pixels, name)


def test_costly_scores_are_asked_for_by_name():
    usual = {s.name for s in make_step(target(), "all").scores}
    assert {"sima_0", "noise_agg", "clid"} <= usual
    assert "sima_0_ref" not in usual
    costly = ("pfami", "gsa", "pullback", "random", "sima_mc")
    assert not any(name.startswith(costly) for name in usual)
