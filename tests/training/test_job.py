"""What is to be trained, made of pictures, options and targets that are there; nothing is trained."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.attacks.condition import condition_of, null_context, resolve_condition
from jaxaudit.checkpoint import load_target
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.training.job import check_can_be_private, further_job, new_job, short_sides
from tests import tiny

DIGITS = open_source("digits:members[:64]")


def test_the_pictures_decide_sizes_and_classes():
    assert set(short_sides(DIGITS)) == {8}
    job = new_job("var", DIGITS, short_side=28)
    assert (job.target.num_classes, job.target.preprocessing.image_size) == (10, 16)
    assert (job.init, job.vocabulary) == (None, None)
    told = dataclasses.replace(DIGITS, num_classes=None)
    assert new_job("dit", told, short_side=8).target.num_classes == max(DIGITS.labels) + 1
    assert new_job("dit", told, short_side=8, num_classes=12, image_size=32).target.num_classes == 12


def test_a_new_model_of_captions_reads_text():
    """As an audit asks it: an embedding per picture, the same for the same words, and that of none."""
    job = new_job("sd", DIGITS, short_side=8, captions=True)
    assert job.target.context_shape == (5, 32)  # start, "a", "handwritten", the digit, end
    source = resolve_condition(DIGITS, job.target)
    (batch,) = batches(source, range(64), job.target.preprocessing, 64)
    told = condition_of(job.target, batch)
    distance = np.abs(told[:, None] - told[None]).max((2, 3))
    same = DIGITS.labels[:, None] == DIGITS.labels[None]
    assert distance[same].max() == 0
    assert distance[~same].min() > 0.1
    assert np.abs(null_context(job.target, [source]) - told).max((1, 2)).min() > 0.1
    assert set(job.params) == {"text_encoder"}
    assert job.init is None


def test_stored_embeddings_decide_their_shape(tmp_path):
    source = tiny.save_captioned(tmp_path / "digits.npz", "digits:members[:6]")
    job = new_job("uvit", source, short_side=8, captions=True)
    assert (job.target.context_shape, job.target.embed_captions, job.params) == ((3, 6), None, {})


def test_a_target_is_trained_further_as_it_is():
    job, target = further_job("digits_sd", 449), load_target("digits_sd")
    assert job.recipe.generator_schedule.steps == 500
    assert job.init.keys() == {"generator", "text_encoder"}
    assert job.origin["init"]["fingerprint"] == target.provenance["fingerprint"]
    words = ["a handwritten three"]
    np.testing.assert_array_equal(job.target.embed_captions(words), target.embed_captions(words))
    assert job.vocabulary.ids["handwritten</w>"] < job.config["text_encoder"]["vocab_size"]


@pytest.mark.parametrize(
    ("change", "captions", "words"),
    [
        ({"labels": None, "num_classes": None}, False, "Only reading digits:members.* tells its labels"),
        ({"captions": None}, True, "Only reading digits:members.* tells its captions"),
        ({"captions": {}}, True, "has no captions to be conditioned on"),
    ],
)
def test_what_nobody_knows_is_one_sentence(change, captions, words):
    with pytest.raises(InputError, match=words):
        new_job("uvit", dataclasses.replace(DIGITS, **change), short_side=8, captions=captions)


def test_what_no_noise_hides_cannot_be_private(tmp_path):
    """But every generator that begins with a target can."""
    for job, words in (
        (new_job("mar", DIGITS, short_side=8), "A new mar standardises its latents"),
        (new_job("sd", DIGITS, short_side=8, captions=True), "A new sd takes its vocabulary"),
    ):
        with pytest.raises(InputError, match=words):
            check_can_be_private(job)
    stored = tiny.save_captioned(tmp_path / "digits.npz", "digits:members[:6]")
    for job in (
        new_job("var", DIGITS, short_side=8),
        new_job("uvit", stored, short_side=8, captions=True),
        further_job("digits_mar", 64),
        further_job("digits_sd", 64),
    ):
        check_can_be_private(job)
