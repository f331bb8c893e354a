"""What was declared to belong together, as sources say it."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxaudit.data import Preprocessing, open_source, scan
from jaxaudit.errors import InputError

PATHS = ("0/x/a.png", "0/x/b.png", "0/y/a.png", "1/x/a.png")


@pytest.fixture
def folder(tmp_path):
    for place, path in enumerate(PATHS):
        file = tmp_path / "pictures" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (place, 9, 9)).save(file)
    return tmp_path / "pictures"


def metadata(folder, **shoots):
    lines = [
        json.dumps({"file_name": name.replace("_", "/") + ".png", **row}) for name, row in shoots.items()
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def groups(spec):
    source = open_source(spec)
    found = [source.load(row).group for row in range(len(source))]
    assert scan(source, Preprocessing(8, "none", 8, -1.0, 1.0)).groups == tuple(found)
    return dict(zip(source.ids, found, strict=True))


def test_nothing_is_declared_unless_asked_for(folder):
    assert set(groups(f"folder:{folder}").values()) == {None}
    assert set(groups("digits:members[:3]").values()) == {None}


def test_sub_folders(folder):
    assert groups(f"folder:{folder}?group=folder") == dict(
        zip(PATHS, ("0/x", "0/x", "0/y", "1/x"), strict=True)
    )
    assert (
        groups(f"folder:{folder}?group=folder&shuffle=2[1:3]").items()
        <= groups(f"folder:{folder}?group=folder").items()
    )
    Image.new("RGB", (8, 8)).save(folder / "c.png")
    with pytest.raises(
        InputError, match=r"group=folder: 1 pictures lie in no sub-folder of .*, e.g. 'c.png'"
    ):
        open_source(f"folder:{folder}?group=folder&label=1")


def test_a_column_of_metadata(folder):
    rows = {"0_x_a": 1, "0_x_b": "1", "0_y_a": "two", "1_x_a": "two", "not_there": "two"}
    metadata(folder, **{name: {"shoot": shoot} for name, shoot in rows.items()})
    found = groups(f"folder:{folder}?group=shoot")
    assert found == dict(zip(PATHS, ("1", "1", "two", "two"), strict=True))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r'metadata.jsonl gives no "shoot" for 1 of 4 pictures of .*, e.g. .0/y/a.png.; \?group=shoot'),
        (1.5, r'metadata.jsonl, line 3: "shoot" is 1.5; expected text or an integer'),
        (True, r'"shoot" is True; expected text or an integer'),
        ([1], r'"shoot" is \[1\]; expected'),
    ],
)
def test_every_picture_needs_one(folder, value, message):
    rows = {"0_x_a": 1, "0_x_b": 1, "0_y_a": value, "1_x_a": 2}
    metadata(folder, **{name: {"shoot": shoot} for name, shoot in rows.items()})
    with pytest.raises(InputError, match=message):
        open_source(f"folder:{folder}?group=shoot")


@pytest.mark.parametrize("values", [np.array([4, 4, 7]), np.array(["4", "4", "7"])])
def test_an_array_of_an_archive(tmp_path, values):
    np.savez(tmp_path / "p.npz", images=np.zeros((3, 8, 8), np.uint8), shoot=values)
    assert groups(f"npz:{tmp_path}/p.npz?group=shoot") == {"0": "4", "1": "4", "2": "7"}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"has no array 'shoot', which \?group=shoot asks for"),
        (
            {"shoot": np.zeros(3)},
            r"'shoot' is float64 of shape \(3,\); groups are 3 integers or texts, \[N\]",
        ),
        ({"shoot": np.zeros((3, 1), int)}, r"'shoot' is int64 of shape \(3, 1\)"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", images=np.zeros((3, 8, 8), np.uint8), **arrays)
    with pytest.raises(InputError, match=message):
        open_source(f"npz:{tmp_path}/p.npz?group=shoot")
