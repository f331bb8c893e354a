"""The same picture on both sides."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxaudit.data import (
    check_disjoint,
    difference_hash,
    fingerprints,
    near_duplicate_ids,
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


def test_recompressed_and_resized_copies_stay_near_and_others_far():
    originals, copies = [], []
    for seed in range(20):
        photo = _photo(seed)
        buffer = io.BytesIO()
        photo.resize((70, 50), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=60)
        originals.append(difference_hash(np.asarray(photo)))
        copies.append(difference_hash(np.asarray(Image.open(buffer).convert("RGB"))))
    pairs = near_duplicates(np.array(originals), np.array(copies[::-1]), max_distance=8)
    assert pairs.tolist() == [[row, 19 - row] for row in range(20)]


@pytest.mark.parametrize("block", [1, 50, 1 << 22])
def test_pairs_are_those_of_a_loop_over_bits(block, monkeypatch):
    monkeypatch.setattr("jaxaudit.data.duplicates._BLOCK", block)
    random = np.random.default_rng(1)
    hashes = random.integers(0, 2**64, 12, dtype=np.uint64)
    others = np.concatenate(
        [hashes[[3, 7]] ^ np.uint64(0b1011), random.integers(0, 2**64, 9, dtype=np.uint64)]
    )
    for limit in (2, 3, 28):
        expected = [
            [i, j]
            for i in range(12)
            for j in range(11)
            if (int(hashes[i]) ^ int(others[j])).bit_count() <= limit
        ]
        found = near_duplicates(hashes, others, max_distance=limit)
        assert found.tolist() == expected
    assert near_duplicates(hashes, others[:0], max_distance=64).shape == (0, 2)
    assert near_duplicates(hashes[:0], others, max_distance=64).shape == (0, 2)


def _save(folder, name, image, **options):
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **options)


def test_altered_copies_are_near_duplicates_and_other_pictures_are_not(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for seed in range(6):
        _save(first, f"{seed}.png", _photo(seed))
    brighter = Image.fromarray((np.asarray(_photo(0)) * 0.8 + 20).astype(np.uint8))
    _save(second, "a.jpg", _photo(2), quality=60)
    _save(second, "b.png", brighter)
    _save(second, "c.png", _photo(4).resize((60, 50), Image.Resampling.LANCZOS))
    for seed in range(10, 14):
        _save(second, f"{seed}.png", _photo(seed))
    (first / "broken.png").write_bytes(b"")
    left, right = (
        fingerprints(open_source(f"folder:{folder}?label=0", skip_unreadable=True))
        for folder in (first, second)
    )
    assert sorted(near_duplicate_ids(left, right)) == [
        ("0.png", "b.png"),
        ("2.png", "a.jpg"),
        ("4.png", "c.png"),
    ]
    assert near_duplicate_ids(left) == near_duplicate_ids(right) == []
    (first / "2 again.jpg").write_bytes((second / "a.jpg").read_bytes())
    again = fingerprints(open_source(f"folder:{first}?label=0", skip_unreadable=True))
    assert near_duplicate_ids(again) == [("2 again.jpg", "2.png")]


def test_no_digit_is_a_near_duplicate_of_another_half():
    members, nonmembers = (fingerprints(open_source(f"digits:{half}")) for half in ("members", "nonmembers"))
    assert len(near_duplicates(members.hashes, nonmembers.hashes, max_distance=8)) > 1000
    assert near_duplicate_ids(members, nonmembers) == []
