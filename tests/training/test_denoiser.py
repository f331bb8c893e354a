"""Diffusion and flow models trained on a few pictures, as the targets that they become."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.checkpoint import load_target, read_record
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.training import TRAINERS, PictureSet
from jaxaudit_kernels.process import add_noise, noise_levels
from jaxaudit_kernels.processes import declared

FAMILIES = ("dit", "uvit")
SIT, V = {"name": "linear_flow", "time_of": "data"}, {"name": "linear_beta", "predicts": "v"}
CASES = {"dit": ("dit", None), "uvit": ("uvit", None), "sit": ("dit", SIT), "uvit_v": ("uvit", V)}


@pytest.fixture(scope="module")
def pictures():
    recipe = TRAINERS["dit"].small_recipe(8, 10)
    (batch,) = batches(open_source("digits:members[:64]"), range(64), recipe.preprocessing, 64)
    return PictureSet(batch.images, batch.labels)


@pytest.fixture(
    scope="module",
    params=["sit", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "sit")],
)
def trained(request, pictures, tmp_path_factory):
    family, process = CASES[request.param]
    recipe = TRAINERS[family].small_recipe(8, 10, width=32, depth=2, generator_steps=40, process=process)
    directory = tmp_path_factory.mktemp(request.param)
    return family, recipe, TRAINERS[family].train(recipe, pictures, directory=directory)


def noise_error(target, images, labels, timestep):
    """Mean square error of ε̂ on noised pictures."""
    level = target.process.level(timestep)
    noise = jax.random.normal(jax.random.key(0), images.shape)
    z_t = add_noise(images, noise_levels(target.process, jnp.full(len(images), level)), noise)
    return float(jnp.mean((target.predict_noise(z_t, level, labels) - noise) ** 2))


@pytest.mark.slow
def test_the_trained_target_sees_the_noise_in_its_training_pictures(trained, pictures):
    """Much better than without any output."""
    family, recipe, params = trained
    images, labels = jnp.asarray(pictures.images), pictures.conditions

    def target(params):
        return get_family(family).build_target("small", recipe.config, params, recipe.preprocessing, {})

    assert target(params).process is declared(recipe.process or get_family(family).PROCESS)
    mute = jax.tree.map(jnp.zeros_like, params)  # predicts 0: no noise, or no velocity
    for timestep in (300, 800):
        error, of_mute = (noise_error(target(each), images, labels, timestep) for each in (params, mute))
        assert error < 0.75 * of_mute


def test_the_parameters_are_those_of_the_config(trained):
    family, recipe, params = trained
    abstract = get_family(family).abstract_params(recipe.config)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, abstract)


@pytest.mark.slow
def test_a_fine_tuning_begins_where_the_target_is(trained, pictures, tmp_path):
    family, recipe, params = trained
    trainer = TRAINERS[family]
    further = trainer.fine_tuning_recipe(recipe.config, generator_steps=1)
    assert further.config == recipe.config
    tuned = trainer.train(further, pictures, directory=tmp_path, seed=1, init=params)
    moved = jax.tree.map(lambda old, new: float(jnp.abs(new - old).max()), params, tuned)
    assert (
        0 < max(jax.tree.leaves(moved)) <= 1.1 * further.generator_schedule.learning_rate
    )  # one step of Adam


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_recipe_is_that_of_the_built_in_target(family):
    recipe, record = TRAINERS[family].small_recipe(8, 10), read_record(f"digits_{family}")
    assert recipe.config == record["config"]
    assert recipe.generator_schedule.steps == record["provenance"]["generator_steps"]
    assert recipe.schedules.keys() == {"generator"}


def test_the_default_recipe_of_captions_is_that_of_the_built_in_target():
    record = read_record("digits_sd")
    recipe = TRAINERS["sd"].small_recipe(8, 0, context_shape=(5, 32))
    assert recipe.config.items() <= record["config"].items()  # which has the text encoder besides
    assert recipe.generator_schedule.steps == record["provenance"]["generator_steps"]


def test_a_small_model_of_captions_hears_the_time():
    """What is normalised alone loses whatever the time adds to it."""
    target, z = load_target("digits_sd"), np.zeros((1, 8, 8, 3), np.float32)
    told = np.zeros((1, *target.context_shape), np.float32)
    early, late = (np.asarray(target.predict_noise(z, level, told)) for level in (0, 999))
    assert np.abs(early - late).max() > 0.01


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="image_size=12"):
        TRAINERS["dit"].small_recipe(12, 10)
    with pytest.raises(InputError, match="depth=3 is odd"):
        TRAINERS["uvit"].small_recipe(8, 10, depth=3)


def test_a_model_with_an_autoencoder_is_not_trained_further():
    config = get_family("dit").VARIANTS["dit_xl_2_256"].config
    with pytest.raises(InputError, match="this one has an autoencoder"):
        TRAINERS["dit"].fine_tuning_recipe(config)
