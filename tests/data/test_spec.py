"""The text that names a source."""

import numpy as np
import pytest

from jaxaudit.data import open_source
from jaxaudit.errors import InputError


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "pictures.npz"
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    np.savez(path, images=images, labels=np.arange(10))
    return f"npz:{path}"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", slice(None)),
        ("[:3]", slice(3)),
        ("[2:]", slice(2, None)),
        ("[1:8:3]", slice(1, 8, 3)),
        ("[-3:]", slice(-3, None)),
        ("[::-1]", slice(None, None, -1)),
        ("[:100]", slice(100)),
    ],
)
def test_slices_are_pythons(npz, text, rows):
    source = open_source(npz + text)
    expected = list(range(10))[rows]
    assert source.spec == npz + text
    assert list(source.ids) == [str(row) for row in expected]
    assert source.labels.tolist() == expected
    assert len(source) == len(expected)
    for index, row in enumerate(expected):
        sample = source.load(index)
        assert (sample.id, sample.label, sample.image[0, 0, 0]) == (str(row), row, row)


def test_a_slice_may_stand_before_or_after_the_options(npz):
    before, after = open_source(f"{npz}[:4]?label=3"), open_source(f"{npz}?label=3[:4]")
    assert list(before.ids) == list(after.ids) == ["0", "1", "2", "3"]
    assert before.labels.tolist() == after.labels.tolist() == [3] * 4


def test_shuffle_is_one_fixed_permutation_sliced_afterwards(npz):
    shuffled = open_source(f"{npz}?shuffle=0")
    assert list(shuffled.ids) == ["8", "1", "4", "9", "5", "0", "3", "2", "7", "6"]
    assert shuffled.labels.tolist() == [int(name) for name in shuffled.ids]
    assert [shuffled.load(index).image[0, 0, 0] for index in range(10)] == shuffled.labels.tolist()
    assert list(open_source(f"{npz}?shuffle=0[2:5]").ids) == list(shuffled.ids)[2:5]
    assert list(open_source(f"{npz}?shuffle=1").ids) != list(shuffled.ids)


def test_fingerprints_tell_which_samples_in_which_order(npz):
    prints = [open_source(npz + text).fingerprint for text in ("[:4]", "[0:4:1]", "[:5]", "[3::-1]")]
    assert prints[0] == prints[1]
    assert len({*prints}) == 3


def test_skip_unreadable_is_kept(npz):
    assert not open_source(npz).skip_unreadable
    assert open_source(npz, skip_unreadable=True).skip_unreadable
    assert open_source(npz).skipped == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("/data/val", r"'/data/val' has no scheme; write one of digits:.*, for example folder:/data/val"),
        ("folders:/data", r"Unknown source 'folders'; did you mean folder"),
        ("s3:bucket", r"Unknown source 's3'; known: digits, folder, matched, npz, tfds"),
        ("folder:", r"names nothing after 'folder'"),
        ("digits:members[:3]?shuffle=1[:2]", "has two slices"),
        ("digits:members[::0]", "a slice of step 0"),
        ("digits:members[5:5]", r"is empty: \[5:5\] of 898 pictures holds none"),
        ("digits:members?shufle=1", r"Unknown option of digits sources 'shufle'; did you mean shuffle"),
        ("digits:members?shuffle", r"'shuffle' is not one OPTION=VALUE; options are shuffle, embeddings"),
        ("digits:members?shuffle=1&shuffle=2", "is not one OPTION=VALUE"),
        ("digits:members?", "'' is not one OPTION=VALUE"),
        ("digits:members[-:2]", r"Unknown half of the digits 'members\[-:2\]'"),
        ("npz:/no/such.npz", "There is no file /no/such.npz"),
        ("npz:/no/such.npz?label=-1", "There is no file"),
    ],
)
def test_errors_say_what_would_be_right(spec, message):
    with pytest.raises(InputError, match=message):
        open_source(spec)
