"""Whose the folder of a training run is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.runtime.progress import silent
from jaxaudit.training import stages, var
from jaxaudit.training.private import Privacy
from jaxaudit.training.stages import PictureSet, claim_training, drop_conditions
from tests import tiny

RECIPE = var.small_recipe(8, 10, width=32, depth=1, tokenizer_steps=2, generator_steps=2)
IMAGES = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
LABELS = np.arange(4, dtype=np.int32)
PICTURES = PictureSet(IMAGES, LABELS)
CAPTIONED = PictureSet(IMAGES, np.ones((4, 3, 5), np.float32), np.zeros((3, 5), np.float32))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"pictures": PictureSet(IMAGES + np.float32(0.01), LABELS)}, "images differ"),
        ({"pictures": PictureSet(IMAGES, LABELS[::-1])}, "labels differ"),
        ({"init": {"w": np.ones(3, np.float32)}}, 'init_sha256 is null, now "[^)]*[)]'),
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
    run = {"recipe": RECIPE, "pictures": PICTURES, "seed": 0}
    claim_training(tmp_path, **run)
    claim_training(tmp_path, **run)
    with pytest.raises(InputError, match=rf"a training run of another request \({difference}\); repeat"):
        claim_training(tmp_path, **run | change)


def test_checkpoints_without_a_manifest_are_nobodys(tmp_path):
    (tmp_path / "generator" / "checkpoints" / "2").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds 'generator' and no manifest.json that says whose it is"):
        claim_training(tmp_path, RECIPE, PICTURES, 0)


def test_other_captions_are_another_run(tmp_path):
    claim_training(tmp_path, RECIPE, CAPTIONED, 0)
    for name, change in (
        ("captions", {"conditions": -CAPTIONED.conditions}),
        ("null", {"null": CAPTIONED.null + 1}),
    ):
        with pytest.raises(InputError, match=rf"\({name} differ"):
            claim_training(tmp_path, RECIPE, dataclasses.replace(CAPTIONED, **change), 0)


@pytest.mark.parametrize(("told", "null"), [(LABELS, 9), (CAPTIONED.conditions, CAPTIONED.null)])
def test_a_condition_is_dropped_whole_or_not_at_all(told, null):
    many = jnp.asarray(np.concatenate([told] * 500))
    dropped = np.asarray(drop_conditions(jax.random.key(0), many, 0.1, null))
    rows = (dropped == null).reshape(len(many), -1)
    assert (rows.all(1) == rows.any(1)).all()
    assert 0.07 < rows.all(1).mean() < 0.13
    np.testing.assert_array_equal(dropped[~rows.all(1)], np.asarray(many)[~rows.all(1)])


def test_private_stages_have_no_random_numbers_in_common(tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr(stages, "fit", lambda *arguments, seed, **options: seeds.append(seed))
    for privacy in (None, Privacy(1.0, 1.0, 4)):
        for stage in ("tokenizer", "generator"):
            stages.fit_stage(
                stage, tiny.unused, {}, {"images": IMAGES}, RECIPE.generator_schedule,
                directory=tmp_path, seed=5, held_out=None, progress=silent, privacy=privacy,
            )  # fmt: skip
    assert seeds[:2] == [5, 5]
    assert len(set(seeds[2:])) == 2


def test_noise_is_part_of_the_request(tmp_path):
    claim_training(tmp_path, RECIPE, PICTURES, 0, privacy=Privacy(1.0, 1.0, 4))
    with pytest.raises(InputError, match=r"privacy.noise_multiplier is 1.0, now 2.0"):
        claim_training(tmp_path, RECIPE, PICTURES, 0, privacy=Privacy(2.0, 1.0, 4))


def test_pictures_are_joined_row_by_row():
    joined = PICTURES.joined(PictureSet(IMAGES[::-1].copy(), LABELS[::-1].copy()), [2, 0])
    np.testing.assert_array_equal(joined.images, np.concatenate([IMAGES, IMAGES[[1, 3]]]))
    assert joined.conditions.tolist() == [0, 1, 2, 3, 1, 3]
    assert len(PICTURES.joined(PICTURES, []).images) == 4
