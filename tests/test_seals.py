"""Seals change with everything that is sealed, and with nothing else."""

import hashlib
import json

import numpy as np
import pytest

from jaxaudit.seals import SEAL, arrays_sha256, files_sha256, is_sealed, json_sha256, seal

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "names": np.array(["x", "yy"])}


def test_a_sealed_record_is_one_however_it_is_written():
    record = seal({"b": (1, 2), "a": {"y": 0.1, "x": None}})
    assert record["b"] == [1, 2]
    assert is_sealed(record)
    assert is_sealed(json.loads(json.dumps(dict(reversed(record.items())), indent=3)))
    assert seal(record) == record


@pytest.mark.parametrize("change", [{"b": [2, 1]}, {"b": [1, 2.0]}, {"c": None}, {SEAL: "0"}, {SEAL: None}])
def test_an_edited_record_is_not(change):
    assert not is_sealed(seal({"b": [1, 2]}) | change)
    assert not is_sealed({"b": [1, 2]})


def test_equal_values_have_one_hash():
    assert json_sha256({"a": 1, "b": "ä"}) == json_sha256({"b": "ä", "a": 1})
    assert json_sha256({}) == hashlib.sha256(b"{}").hexdigest()
    swapped = dict(reversed(ARRAYS.items())) | {"names": np.array(["x", "yy"], "<U9")}
    assert arrays_sha256(swapped) == arrays_sha256(ARRAYS)
    transposed = {**ARRAYS, "a": np.asfortranarray(ARRAYS["a"])}
    assert arrays_sha256(transposed) == arrays_sha256(ARRAYS)


@pytest.mark.parametrize(
    "change",
    [
        {"a": ARRAYS["a"].reshape(3, 2)},
        {"a": ARRAYS["a"].view(np.int32)},
        {"a": np.nextafter(ARRAYS["a"], 9)},
        {"names": np.array(["xy", "y"])},
        {"names": np.array(["x", "yy", ""])},
        {"more": np.zeros(0)},
    ],
)
def test_other_arrays_have_another(change):
    assert arrays_sha256(ARRAYS | change) != arrays_sha256(ARRAYS)


def test_what_arrays_belong_to_is_sealed_with_them():
    assert arrays_sha256(ARRAYS, of="here") != arrays_sha256(ARRAYS, of="there")


def test_files_have_the_hashes_of_their_content(tmp_path):
    contents = [bytes([i]) * (1000 * i) for i in range(40)]
    for i, content in enumerate(contents):
        (tmp_path / str(i)).write_bytes(content)
    found = files_sha256(tmp_path / str(i) for i in range(40))
    assert found == [hashlib.sha256(content).hexdigest() for content in contents]
    with pytest.raises(OSError, match="nothing"):
        files_sha256([tmp_path / "nothing"])
