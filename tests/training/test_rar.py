import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.tokenizers.maskgit_vq import MaskGITVQ, MaskGITVQConfig
from jaxaudit.training import PictureSet, rar, var

RECIPE = rar.small_recipe(8, 10, width=32, depth=1, tokenizer_steps=40, generator_steps=40)


@pytest.fixture(scope="module")
def pictures():
    source = open_source("digits:members[:64]")
    (batch,) = batches(source, range(64), RECIPE.preprocessing, 64)
    return PictureSet(batch.images, batch.labels)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("rar")


@pytest.fixture(scope="module")
def params(pictures, directory):
    return rar.train(RECIPE, pictures, directory=directory)


def last(path, name):
    with open(path, newline="") as file:
        return float(list(csv.DictReader(file))[-1][name])


@pytest.mark.slow
def test_the_tokens_tell_pictures_apart(params, pictures, directory):
    """Pictures decoded from nothing could be no closer than the mean picture, whose error is the variance."""
    error = last(directory / "tokenizer" / "loss.csv", "reconstruction")
    assert error < pictures.images.var(0).mean() / 2


@pytest.mark.slow
def test_the_generator_looks_at_other_tokens_or_the_label(params, pictures, directory):
    """Without them, the best loss is the entropy of the tokens at each position."""
    tokenizer = MaskGITVQ(RECIPE.tokenizer)
    images = jnp.asarray(pictures.images)
    tokens = tokenizer.apply({"params": params["tokenizer"]}, images, method="encode")
    counts = jax.vmap(lambda place: jnp.bincount(place, length=RECIPE.tokenizer.vocab_size))(tokens.T)
    assert last(directory / "generator" / "loss.csv", "loss") < scipy.stats.entropy(counts, axis=1).mean()


@pytest.mark.slow
def test_the_parameters_are_those_of_the_config(params):
    abstract = get_family("rar").abstract_params(RECIPE.config)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, abstract)


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(pictures, params, directory):
    def refuse(done, total, what, note):
        raise AssertionError(f"{what} happened again.")

    again = rar.train(RECIPE, pictures, directory=directory, progress=refuse)
    jax.tree.map(np.testing.assert_array_equal, params, again)


@pytest.mark.usefixtures("params")
@pytest.mark.slow
def test_another_run_is_refused(pictures, directory):
    with pytest.raises(InputError, match=r"holds a training run of another request \(seed is 0, now 1\)"):
        rar.train(RECIPE, pictures, directory=directory, seed=1)
    others = dataclasses.replace(pictures, images=pictures.images[::-1])
    with pytest.raises(InputError, match=r"\(images differ\)"):
        rar.train(RECIPE, others, directory=directory)
    longer = dataclasses.replace(RECIPE.generator_schedule, steps=1000, checkpoint_every=7)
    with pytest.raises(InputError, match=r"\(schedules.generator.steps is \d+, now 1000\)"):
        rar.train(dataclasses.replace(RECIPE, generator_schedule=longer), pictures, directory=directory)


def test_a_model_of_captions_is_not_trained_further():
    config = get_family("var").VARIANTS["var_clip_d16"].config
    with pytest.raises(InputError, match="only those of classes can be trained further"):
        var.fine_tuning_recipe(config)


@pytest.mark.slow
def test_the_quantiser_passes_gradients_straight_through():
    tokenizer = MaskGITVQ(
        MaskGITVQConfig(vocab_size=5, z_channels=2, ch=4, ch_mult=(1,), num_res_blocks=1, side=4)
    )
    images = jnp.asarray(np.random.default_rng(0).random((2, 4, 4, 3), np.float32))
    params = tokenizer.init(jax.random.key(0), images)["params"]

    def run(params):
        return tokenizer.apply({"params": params}, images, method=rar._quantised_pass)

    picture, loss = run(params)
    tokens = tokenizer.apply({"params": params}, images, method="encode")
    codes = params["quantize"]["embedding"]["embedding"][tokens].reshape(2, 4, 4, 2)
    features = tokenizer.apply({"params": params}, images, method="features")
    decoded = tokenizer.apply({"params": params}, codes, method="decode_features")
    np.testing.assert_allclose(picture, decoded, atol=1e-6)
    np.testing.assert_allclose(loss, 1.25 * np.square(codes - features).mean(), rtol=1e-5)
    to_picture = jax.grad(lambda params: run(params)[0].sum())(params)
    to_loss = jax.grad(lambda params: run(params)[1])(params)
    norms = {
        name: {part: float(jnp.abs(jax.flatten_util.ravel_pytree(tree[part])[0]).max()) for part in tree}
        for name, tree in (("picture", to_picture), ("loss", to_loss))
    }
    assert norms["picture"]["encoder"] > 0
    assert norms["picture"]["decoder"] > 0
    assert norms["picture"]["quantize"] == 0
    assert norms["loss"]["encoder"] > 0
    assert norms["loss"]["quantize"] > 0
    assert norms["loss"]["decoder"] == 0


@pytest.mark.parametrize(
    ("image_size", "width", "words"), [(12, 64, "power of two"), (8, 48, "multiple of 32")]
)
def test_sizes_that_do_not_fit_are_refused(image_size, width, words):
    with pytest.raises(InputError, match=words):
        rar.small_recipe(image_size, 10, width=width)
