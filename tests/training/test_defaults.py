"""What a training is like if nobody says it."""

import pytest

from jaxaudit.data import open_source
from jaxaudit.training import TRAINERS, defaults
from jaxaudit.training.defaults import default_image_size, default_steps, epochs, for_pictures


def test_the_built_in_targets_saw_as_many_pictures_as_is_said():
    assert len(open_source("digits:members")) == defaults._BUILT_IN
    recipe = TRAINERS["var"].small_recipe(8, 10)
    assert for_pictures(recipe, defaults._BUILT_IN) == recipe


@pytest.mark.parametrize(("short_side", "size"), [(0, 8), (5, 8), (8, 8), (28, 16), (32, 32), (500, 32)])
def test_pictures_are_not_enlarged(short_side, size):
    assert default_image_size(short_side) == size


@pytest.mark.parametrize(
    ("num_pictures", "steps", "of_fine_tuning"), [(64, 420, 30), (898, 420, 420), (2 * 898, 840, 840)]
)
def test_more_pictures_take_more_steps(num_pictures, steps, of_fine_tuning):
    assert default_steps(420, num_pictures) == steps
    assert default_steps(420, num_pictures, fine_tuning=True) == of_fine_tuning
    assert default_steps(420, 10**6) == 4 * 420
    assert default_steps(420, 1, fine_tuning=True) == 20


def test_steps_that_were_given_stay():
    recipe = TRAINERS["var"].small_recipe(8, 10, generator_steps=7)
    found = for_pictures(recipe, 10 * 898, given={"generator_steps": 7})
    assert {stage: schedule.steps for stage, schedule in found.schedules.items()} == {
        "tokenizer": 4 * 500,
        "generator": 7,
    }
    assert epochs(found.generator_schedule, 64) == 7
    assert epochs(found.generator_schedule, 16) == 7
    assert epochs(found.generator_schedule, 128) == 3.5
