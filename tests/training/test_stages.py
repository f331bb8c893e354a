"""Whose the folder of a training run is."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.training import var
from jaxaudit.training.stages import claim_training

RECIPE = var.small_recipe(8, 10, width=32, depth=1, tokenizer_steps=2, generator_steps=2)
IMAGES = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
LABELS = np.arange(4, dtype=np.int32)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"images": IMAGES + np.float32(0.01)}, "images differ"),
        ({"labels": LABELS[::-1]}, "labels differ"),
        ({"seed": 1}, "seed is 0, now 1"),
        (
            {"recipe": var.small_recipe(8, 10, width=32, depth=1, tokenizer_steps=2, generator_steps=3)},
            "schedules.generator.steps is 2, now 3",
        ),
        (
            {"recipe": var.small_recipe(8, 10, width=32, depth=2, tokenizer_steps=2, generator_steps=2)},
            "config.generator.depth is 1, now 2",
        ),
        ({"recipe": dataclasses.replace(RECIPE, label_dropout=0.2)}, "losses.label_dropout is 0.1, now 0.2"),
    ],
)
def test_whatever_changes_the_weights_is_another_run(tmp_path, change, difference):
    run = {"recipe": RECIPE, "images": IMAGES, "labels": LABELS, "seed": 0}
    claim_training(tmp_path, **run)
    claim_training(tmp_path, **run)
    with pytest.raises(InputError, match=rf"a training run of another request \({difference}\); repeat"):
        claim_training(tmp_path, **run | change)


def test_checkpoints_without_a_manifest_are_nobodys(tmp_path):
    (tmp_path / "generator" / "checkpoints" / "2").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds 'generator' and no manifest.json that says whose it is"):
        claim_training(tmp_path, RECIPE, IMAGES, LABELS, 0)
