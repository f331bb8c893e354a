"""The same picture, or nearly, twice."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxaudit.data import (
    Fingerprints,
    check_disjoint,
    difference_hash,
    fingerprint,
    near_duplicates,
    open_source,
    scan,
)
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError


def test_disjoint_sources_pass():
    check_disjoint({"a": "1", "b": "2"}, {"a": "3", "c": "4"})
    check_disjoint({}, {})


def test_shared_pictures_are_counted_with_an_example():
    with pytest.raises(
        InputError, match=r"share 2 pictures with identical pixels, e.g. member 'b' is nonmember 'x'"
    ):
        check_disjoint({"a": "1", "b": "2", "c": "3"}, {"x": "2", "y": "9", "z": "3"})


def test_overlapping_slices_are_found_and_the_halves_of_the_digits_are_not():
    preprocessing = Preprocessing(8, "none", 8, -1.0, 1.0)
    members, overlap, nonmembers = (
        scan(open_source(spec), preprocessing).digests
        for spec in ("digits:members", "digits:members[890:]", "digits:nonmembers")
    )
    check_disjoint(members, nonmembers)
    with pytest.raises(InputError, match="share 8 pictures"):
        check_disjoint(members, overlap)


def _photo(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((96, 80), Image.Resampling.BICUBIC)


def test_the_hash_is_bit_by_bit_is_this_cell_brighter_than_the_next():
    cells = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
    image = np.repeat(cells.repeat(4, axis=0).repeat(4, axis=1)[..., None], 3, axis=-1)
    bits = "".join("1" if cells[y, x] > cells[y, x + 1] else "0" for y in range(8) for x in range(8))
    found = difference_hash(image)
    assert found.dtype == np.uint64
    assert int(found) == int(bits, 2)
    assert int(difference_hash(np.zeros((5, 5, 3), np.uint8))) == 0


def recompressed(photo, size, quality=60):
    buffer = io.BytesIO()
    photo.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def prints(images):
    hashes, thumbnails = zip(*(fingerprint(np.asarray(image)) for image in images), strict=True)
    return Fingerprints(np.array(hashes), np.stack(thumbnails))


def found(of):
    pairs = [pair for block in near_duplicates(of) for pair in block.tolist()]
    assert len({tuple(pair) for pair in pairs}) == len(pairs)
    return sorted(pairs)


def test_altered_copies_are_near_duplicates_and_other_pictures_are_not():
    brighter = Image.fromarray((np.asarray(_photo(0)) * 0.8 + 20).astype(np.uint8))
    shrunk = _photo(4).resize((60, 50), Image.Resampling.LANCZOS)
    photos = [_photo(seed) for seed in range(20)]
    assert found(prints([*photos, recompressed(_photo(2), (70, 50)), brighter, shrunk])) == [
        [0, 21],
        [2, 20],
        [4, 22],
    ]


def test_pictures_without_contrast_are_near_duplicates_of_nothing():
    plain = [np.full((20, 20, 3), grey, np.uint8) for grey in (0, 0, 9)]
    assert found(prints(plain)) == []
    assert found(prints([*plain, _photo(0), _photo(0)])) == [[3, 4]]


@pytest.mark.parametrize("block", [1, 7, 2048])
@pytest.mark.parametrize("kind", ["photos", "digits", "noise"])
def test_pairs_are_those_of_a_loop_over_all(kind, block, monkeypatch):
    """Photos with copies around both thresholds, digits, of which many hashes are near, and what is far."""
    monkeypatch.setattr("jaxaudit.data.duplicates._BLOCK", block)
    rng = np.random.default_rng(0)
    if kind == "photos":
        levels = [np.asarray(_photo(seed), np.float64) for seed in range(25)]
        noisy = [each + rng.normal(0, 3 * i, each.shape) for i, each in enumerate(levels)]
        images = [np.clip(each, 0, 255).astype(np.uint8) for each in (*levels, *noisy)]
    elif kind == "digits":
        source = open_source("digits:members[:90]")
        images = [source.load(index).image for index in range(90)]
        images += [(image * 0.9 + 9).astype(np.uint8) for image in images]
    else:
        images = list(rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8))
    of = prints(images)
    correlation, hashes = np.corrcoef(of.thumbnails.astype(float)), of.hashes.tolist()
    expected = [
        [i, j]
        for i in range(len(images))
        for j in range(i + 1, len(images))
        if (hashes[i] ^ hashes[j]).bit_count() <= 8 and correlation[i, j] >= 0.995
    ]
    assert found(of) == expected
    assert len(expected) == {"photos": 11, "digits": 90, "noise": 0}[kind]


def test_no_digit_is_a_near_duplicate_of_another():
    sources = (open_source(f"digits:{half}") for half in ("members", "nonmembers"))
    assert found(prints([source.load(i).image for source in sources for i in range(len(source))])) == []
