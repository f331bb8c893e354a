"""Scores of being generated, against loops, and on an autoencoder of which everything is known."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.provenance import ProvenanceAttack
from jaxaudit.errors import InputError
from jaxaudit.targets import Autoencoder
from tests import tiny
from tests.marks import slow_but

_LEVELS = 4.0  # features are whole fourths


def known_target():
    """Pictures are cubes of features that lie on a grid; the encoder adds a bias to what it reads."""

    def encode(params, images):
        del params
        return jnp.cbrt(images) + 0.3 / _LEVELS * jnp.sin(40 * images)

    def decode(params, features):
        del params
        return jnp.clip(features, -1, 1) ** 3

    def quantise(params, features):
        del params
        return jnp.round(_LEVELS * features) / _LEVELS

    return dataclasses.replace(tiny.var_target(), autoencoder=Autoencoder(encode, decode, quantise))


def made_and_taken(count=24):
    """Pictures that were decoded from the grid, saved in 8 bits, and others."""
    rng = np.random.default_rng(0)
    made = (rng.integers(-4, 5, (count, 8, 8, 3)) / _LEVELS) ** 3
    taken = rng.uniform(-1, 1, (count, 8, 8, 3))
    return tuple((np.rint(127.5 * (x + 1)) / 127.5 - 1).astype(np.float32) for x in (made, taken))


@pytest.fixture(scope="module")
def scored():
    attack = ProvenanceAttack(known_target())
    return attack, *(attack.submit(side).result() for side in made_and_taken())


def test_what_was_decoded_from_tokens_scores_higher(scored):
    attack, made, taken = scored
    assert attack.default == "search"
    for name in ("quant_loss", "search"):
        assert made[name].min() > taken[name].max(), name


def test_the_search_finds_the_tokens_that_the_encoder_misses():
    """One step reads some tokens wrong, so errors stay; with more, nothing but rounding is left."""
    made, _ = made_and_taken()
    few, many = (ProvenanceAttack(known_target(), search_steps=steps).submit(made) for steps in (1, 16))
    assert np.all(many.result()["search"] >= few.result()["search"] - 1e-4)


def test_scores_are_those_of_a_loop():
    target, (made, _) = known_target(), made_and_taken(3)
    auto, found = target.autoencoder, ProvenanceAttack(target, search_steps=3).submit(made).result()
    eps = 1 / (12 * 255**2)
    for row, image in enumerate(made):
        x = image[None]

        def r(a, b):
            return float(np.mean((np.asarray(a) - np.asarray(b)) ** 2)) / 4 + eps

        y = auto.decode(None, auto.encode(None, x))
        z = auto.decode(None, auto.encode(None, y))
        f = f0 = np.asarray(auto.encode(None, x))
        left = float(np.mean((f - np.asarray(auto.quantise(None, f))) ** 2)) + 1e-10
        errors = []
        for _ in range(4):
            back = auto.decode(None, auto.quantise(None, f))
            errors.append(r(x, back))
            f = f + (f0 - np.asarray(auto.encode(None, back))) / 2
        expected = {
            "reconstruction": -np.log(r(x, y)),
            "enc_loss": np.log(r(y, z) / r(x, y)),
            "quant_loss": -np.log(left),
            "combined": np.log(r(y, z) / r(x, y)) - np.log(left),
            "search": np.log(errors[0]) - 2 * np.log(min(errors)),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][row], value, rtol=2e-4, err_msg=name)


@pytest.mark.parametrize("family", slow_but(["rar", "mar", "var", "llamagen"], "rar"))
def test_autoencoders_of_families_are_those_that_make_their_pictures(family):
    target = getattr(tiny, f"{family}_target")()
    auto, images = target.autoencoder, jnp.asarray(made_and_taken(2)[0])
    features = auto.encode(target.params, images)
    if auto.quantise is None:
        kept, latents = features, target.encode(images)
    else:
        kept, latents = auto.quantise(target.params, features), target.encode(images)
    np.testing.assert_allclose(auto.decode(target.params, kept), target.decode(latents), atol=2e-5)
    attack = ProvenanceAttack(target, search_steps=2)
    alone, together = (
        attack.submit(np.asarray(images)[:1]).result(),
        attack.submit(np.asarray(images), padded_size=8).result(),
    )
    for name in attack.scores:
        np.testing.assert_allclose(alone[name], together[name][:1], rtol=1e-4, err_msg=name)


def test_a_model_of_pixels_is_refused_by_name():
    with pytest.raises(InputError, match="tiny generates pixels: no decoder leaves its trace"):
        ProvenanceAttack(tiny.captioned_target())
    with pytest.raises(InputError, match="search_steps=0 is no number of steps"):
        ProvenanceAttack(tiny.var_target(), search_steps=0)
