"""The digits and their one and only cut."""

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxaudit.data import open_source, resolve_labels
from jaxaudit.errors import InputError

# ids in their order; pixels and labels in their order. These never change: built-in targets depend on them.
FINGERPRINTS = {
    "members": (
        "c21ca01f50fb3c940c67d37e86cf3345f17b95fc9988ce47528f505f837787c2",
        "4d43c138435150876a9b567f603760367d3c9870d0af3b31fc285a2cc2c36152",
    ),
    "nonmembers": (
        "50dfcabcedbe55b748e26bbb0c550d8359dba7a13da520c7181dcbc17affb10d",
        "19b5a553d464de480ea9f8eb0ac5741867afe6f01caba05832b555c4e732b8bb",
    ),
}


def test_captions_say_which_digit_it_is():
    samples = [open_source("digits:nonmembers").load(row) for row in range(40)]
    captions = {sample.label: sample.caption for sample in samples}
    assert captions.keys() == set(range(10))
    assert (captions[0], captions[3]) == ("a handwritten zero", "a handwritten three")


@pytest.mark.parametrize("half", ["members", "nonmembers"])
def test_the_cut_never_changes(half):
    source = open_source(f"digits:{half}")
    pixels = np.stack([source.load(index).image for index in range(len(source))])
    content = hashlib.sha256(pixels.tobytes() + source.labels.astype("<i4").tobytes()).hexdigest()
    assert (source.fingerprint, content) == FINGERPRINTS[half]


def test_the_halves_are_disjoint_stratified_and_complete():
    members, nonmembers = open_source("digits:members"), open_source("digits:nonmembers")
    assert (len(members), len(nonmembers)) == (898, 899)
    assert sorted([*members.ids, *nonmembers.ids]) == [f"digits/{row:04d}" for row in range(1797)]
    counts = np.bincount(members.labels) - np.bincount(nonmembers.labels)
    assert np.abs(counts).max() <= 1


def test_no_two_digits_are_equal():
    rows = load_digits().data.astype(np.uint8)
    assert len(np.unique(rows, axis=0)) == 1797


def test_pixels_and_labels_are_those_of_the_row_and_the_grey_can_be_undone():
    bunch = load_digits()
    source = open_source("digits:nonmembers")
    seen = set()
    for index in range(0, len(source), 7):
        sample = source.load(index)
        row = int(sample.id.removeprefix("digits/"))
        assert (sample.id, sample.label) == (source.ids[index], bunch.target[row])
        assert sample.image.shape == (8, 8, 3)
        assert sample.image.dtype == np.uint8
        for channel in range(3):
            grey = (16 * sample.image[..., channel].astype(int) + 127) // 255
            np.testing.assert_array_equal(grey, bunch.images[row])
        seen |= set(sample.image.ravel().tolist())
    assert len(seen) == 17
    assert {0, 255} <= seen


def test_labels_fit_ten_classes_only():
    source = open_source("digits:members")
    assert resolve_labels(source, 10) is source
    with pytest.raises(InputError, match=r"tells 10 classes apart \(the digit\), but the target has 1000"):
        resolve_labels(source, 1000)


def test_other_halves_are_refused():
    with pytest.raises(InputError, match=r"Unknown half of the digits 'member'; did you mean members"):
        open_source("digits:member")
