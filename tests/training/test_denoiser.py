import csv

import jax
import jax.numpy as jnp
import pytest

from jaxaudit.checkpoint import read_record
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.training import TRAINERS

FAMILIES = ("dit", "uvit")


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    directory, trainer = tmp_path_factory.mktemp(request.param), TRAINERS[request.param]
    recipe = trainer.small_recipe(8, 10, width=32, depth=2, generator_steps=40)
    (batch,) = batches(open_source("digits:members[:64]"), range(64), recipe.preprocessing, 64)
    params = trainer.train(recipe, batch.images, batch.labels, directory=directory)
    return request.param, recipe, params, directory


def test_the_network_learns_to_denoise(trained):
    *_, directory = trained
    with open(directory / "generator" / "loss.csv", newline="") as file:
        first, last = (float(row["loss"]) for row in csv.DictReader(file))
    assert last < first < 1.5


def test_the_parameters_are_those_of_the_config(trained):
    family, recipe, params, _ = trained
    abstract = get_family(family).abstract_params(recipe.config)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, abstract)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_recipe_is_that_of_the_built_in_target(family):
    recipe, record = TRAINERS[family].small_recipe(8, 10), read_record(f"digits_{family}")
    assert recipe.config == record["config"]
    assert recipe.generator_schedule.steps == record["provenance"]["generator_steps"]
    assert recipe.schedules.keys() == {"generator"}


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="image_size=12"):
        TRAINERS["dit"].small_recipe(12, 10)
    with pytest.raises(InputError, match="depth=3 is odd"):
        TRAINERS["uvit"].small_recipe(8, 10, depth=3)
