"""Listings of matched pictures: the same pictures as their sources have, or one sentence."""

import json

import numpy as np
import pytest

from jaxaudit.data import check_disjoint, open_source, pixel_digest
from jaxaudit.data.matched import write_matched
from jaxaudit.errors import InputError


def pictures(source, rows):
    return [(source.ids[row], pixel_digest(source.read(row).pixels)) for row in rows]


@pytest.fixture
def sets(tmp_path):
    """A folder in which pictures 7, 3, 5 of P are matched with 1, 9, 4 of U, and the archive of P."""
    rng = np.random.default_rng(0)
    archive = tmp_path / "p.npz"
    np.savez(archive, images=rng.integers(0, 256, (10, 8, 8, 3), np.uint8), labels=np.arange(10))
    specs = f"npz:{archive}", "digits:nonmembers[:10]"
    p, u = (open_source(spec) for spec in specs)
    write_matched(tmp_path / "sets", specs, (pictures(p, [7, 3, 5]), pictures(u, [1, 9, 4])), answer="equal")
    return tmp_path / "sets", archive


def test_a_side_is_the_pictures_of_its_source_in_the_order_of_the_pairs(sets):
    folder, archive = sets
    p, whole = open_source(f"matched:{folder}#p"), open_source(f"npz:{archive}")
    assert list(p.ids) == ["7", "3", "5"]
    assert p.labels.tolist() == [7, 3, 5]
    assert p.spec == f"matched:{folder}#p"
    for row, original in enumerate((7, 3, 5)):
        np.testing.assert_array_equal(p.load(row).image, whole.load(original).image)
    u = open_source(f"matched:{folder}#u[1:]")
    assert [u.load(row).caption for row in range(2)] == [
        open_source("digits:nonmembers").load(row).caption for row in (9, 4)
    ]
    assert u.num_classes == 10
    check_disjoint(*({name: name for name in side.ids} for side in (p, u)))


def test_a_picture_that_changed_is_refused(sets):
    folder, archive = sets
    arrays = dict(np.load(archive))
    arrays["images"][3, 0, 0] ^= 1
    np.savez(archive, **arrays)
    p = open_source(f"matched:{folder}#p")
    p.load(0)
    with pytest.raises(InputError, match=r"'3' of npz:.* has changed since it was matched"):
        p.load(1)


def test_a_picture_that_is_gone_is_refused(sets):
    folder, archive = sets
    np.savez(archive, **{name: array[:6] for name, array in np.load(archive).items()})
    with pytest.raises(InputError, match=r"1 of 3 pictures that .* lists are no longer in npz:.*, e.g. '7'"):
        open_source(f"matched:{folder}#p")


def test_a_listing_that_was_edited_is_refused(sets):
    folder, _ = sets
    path = folder / "matched.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "answer": "different"}))
    with pytest.raises(InputError, match="has been changed since it was written; match the sets again"):
        open_source(f"matched:{folder}#p")
    path.write_text(json.dumps({**record, "pictures": 3}))
    with pytest.raises(InputError, match="lists no matched sets: "):
        open_source(f"matched:{folder}#p")
    path.write_text("{")
    with pytest.raises(InputError, match="lists no matched sets: "):
        open_source(f"matched:{folder}#p")


@pytest.mark.parametrize("side", ["", "#", "#m", "#P"])
def test_a_side_must_be_named(sets, side):
    with pytest.raises(InputError, match=r"names no side; write matched:.*sets#p for the pictures of P"):
        open_source(f"matched:{sets[0]}{side}")


def test_a_folder_without_a_listing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"matched\.json cannot be read: No such file"):
        open_source(f"matched:{tmp_path}#u")
