"""What `jaxaudit.score` takes, and what it refuses because the numbers would mean nothing."""

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.batch import check_images
from jaxaudit.attacks.runner import Scorer
from jaxaudit.data import Preprocessing, preprocess
from jaxaudit.errors import InputError
from tests.tiny import DIGITS, var_target

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
IMAGES = np.stack([preprocess(each, DIGITS) for each in PIXELS])
LABELS = np.arange(5)


def test_what_preprocessing_makes_is_taken():
    bright = np.stack([preprocess(each // 2 + 128, DIGITS) for each in PIXELS])
    assert bright.min() >= 0
    for images in (IMAGES, bright, np.zeros_like(IMAGES), np.ones_like(IMAGES), -np.ones_like(IMAGES)):
        check_images(images, DIGITS)
        check_images(images.astype(np.float16), DIGITS)
        check_images(jnp.asarray(images), DIGITS)
        for one in images:
            check_images(one[None], DIGITS)
    check_images(IMAGES.astype(ml_dtypes.bfloat16), DIGITS)
    check_images(IMAGES[:0], DIGITS)
    unit = Preprocessing(image_size=8, resize="none", short_side=8, low=0.0, high=1.0)
    check_images(PIXELS / np.float32(255), unit)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (PIXELS, r"Images of uint8 do not fit: the target takes floats in \[-1, 1\]. .*preprocess"),
        (PIXELS.astype(np.int64), "Images of int64 do not fit"),
        (PIXELS.astype(np.float32), r"hold values from 0 to 255; the target takes \[-1, 1\]"),
        (IMAGES * 1.01, "hold values from -1.01 to 1.01"),
        (PIXELS / 255, r"from 0 to 1 only, as if scaled to \[0, 1\]; the target takes \[-1, 1\]"),
        ((PIXELS / 255)[:1].astype(np.float32), "as if scaled"),
        ((PIXELS / 255).astype(np.float16), "as if scaled"),
        (np.random.default_rng(1).uniform(0.2, 0.9, IMAGES.shape), "as if scaled"),
        (np.where(IMAGES > 0.9, np.nan, IMAGES), "NaN or infinite"),
        (np.where(IMAGES > 0.9, np.inf, IMAGES), "NaN or infinite"),
        (IMAGES[:, :4], "expected"),
        (IMAGES[0], "expected"),
    ],
)
def test_images_in_another_range_are_refused(unchecked, monkeypatch, images, words):
    monkeypatch.setattr(Scorer, "__init__", _too_late if "expected" not in words else Scorer.__init__)
    with pytest.raises(InputError, match=words):
        jaxaudit.score(var_target(), images, LABELS[: len(images)], names=["cond/loss"])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS + 0.5, "Labels of float64 are no classes"),
        (LABELS.astype(np.float32), "Labels of float32 are no classes"),
        (LABELS > 1, "Labels of bool are no classes"),
        (LABELS + 7, "Label 11 is out of range"),
        (LABELS - 1, "Label -1 is out of range"),
        (LABELS[:4], r"Labels of shape \(4,\) do not fit 5 images"),
        (None, "do not fit 5 images"),
    ],
)
def test_labels_that_are_no_classes_are_refused(unchecked, labels, words):
    with pytest.raises(InputError, match=words):
        jaxaudit.score(var_target(), IMAGES, labels, names=["cond/loss"])


def _too_late(*arguments, **options):
    raise AssertionError("the work began")
