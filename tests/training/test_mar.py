import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, posterior
from jaxaudit.training import PictureSet, mar

RECIPE = mar.small_recipe(8, 10, width=32, depth=1, tokenizer_steps=40, generator_steps=40)


@pytest.fixture(scope="module")
def pictures():
    source = open_source("digits:members[:64]")
    (batch,) = batches(source, range(64), RECIPE.preprocessing, 64)
    return PictureSet(batch.images, batch.labels)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("mar")


@pytest.fixture(scope="module")
def params(pictures, directory):
    return mar.train(RECIPE, pictures, directory=directory)


def column(path, name):
    with open(path, newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_the_latents_tell_pictures_apart(params, pictures, directory):
    """Pictures decoded from nothing could be no closer than the mean picture, whose error is the variance."""
    *_, error = column(directory / "tokenizer" / "loss.csv", "reconstruction")
    assert error < pictures.images.var(0).mean() / 2


@pytest.mark.slow
def test_the_head_learns_to_denoise(params, directory):
    errors = column(directory / "generator" / "loss.csv", "mse")
    assert (
        max(errors) < 0.8
    )  # 1 before training: the head's last layer is zero, and the noise has unit variance


@pytest.mark.slow
def test_the_parameters_are_those_of_the_config(params):
    abstract = get_family("mar").abstract_params(RECIPE.config)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, abstract)


@pytest.mark.slow
def test_the_latents_of_the_training_images_are_standardised(params, pictures):
    latents = KLAutoencoder(RECIPE.tokenizer).apply(
        {"params": params["tokenizer"]}, jnp.asarray(pictures.images), method="encode"
    )
    np.testing.assert_allclose(latents.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(latents.std((0, 1, 2)), 1, atol=1e-4)


@pytest.mark.slow
def test_standardising_changes_units_and_nothing_else(params, pictures):
    tokenizer, images = KLAutoencoder(RECIPE.tokenizer), jnp.asarray(pictures.images)

    def apply(params, x, method):
        return tokenizer.apply({"params": params}, x, method=method)

    means = np.random.default_rng(0).normal([3, -2, 0, 1], [0.1, 4, 1, 9], (50, 2, 2, 4)).astype(np.float32)
    moved = mar._standardise(params["tokenizer"], means)
    m, s = means.mean((0, 1, 2)), means.std((0, 1, 2))
    before, after = (posterior(apply(tree, images, "moments")) for tree in (params["tokenizer"], moved))
    np.testing.assert_allclose(after[0], (np.asarray(before[0]) - m) / s, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(after[1], before[1] - 2 * np.log(s)[None, None, None], rtol=1e-4, atol=1e-3)
    pairs = ((params["tokenizer"], before[0]), (moved, after[0]))
    old, new = (apply(tree, latents, "reconstruct") for tree, latents in pairs)
    np.testing.assert_allclose(new, old, atol=1e-3)


def test_between_70_and_100_percent_of_the_tokens_are_hidden():
    length = 64
    visible, shown, hidden = mar._masks(jax.random.key(0), 2000, length, 0.7)
    share = np.asarray(hidden.mean(1))
    assert 0.7 <= share.min() < 0.72
    assert share.max() == 1
    # The mean of 1 + z / 4 for a standard normal z between -1.2 and 0, and half a token of rounding up.
    z = np.linspace(-1.2, 0, 10_001)
    expected = 1 + 0.25 * np.average(z, weights=np.exp(-(z**2) / 2)) + 0.5 / length
    np.testing.assert_allclose(share.mean(), expected, atol=0.005)
    np.testing.assert_allclose(hidden.mean(0), expected, atol=0.05)
    for row in range(20):
        seen = np.sort(np.asarray(visible[row])[np.asarray(shown[row])])
        np.testing.assert_array_equal(seen, np.flatnonzero(~np.asarray(hidden[row])))


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(pictures, params, directory):
    def refuse(done, total, what, note):
        raise AssertionError(f"{what} happened again.")

    again = mar.train(RECIPE, pictures, directory=directory, progress=refuse)
    jax.tree.map(np.testing.assert_array_equal, params, again)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="power of two"):
        mar.small_recipe(12, 10)
