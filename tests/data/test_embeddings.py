"""Embeddings of captions in files."""

import zipfile
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxaudit.data import open_embeddings, open_source
from jaxaudit.errors import InputError

_IDS = [f"digits/{row:04d}" for row in (0, 1, 2)]
_VALUES = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
_STORED = dict(zip([*_IDS, "null_embedding"], _VALUES, strict=True))


def save(path, arrays):
    if path.suffix == ".safetensors":
        save_file(arrays, path)
    else:
        np.savez_compressed(path, **arrays)
    return str(path)


@pytest.mark.parametrize("extension", ["safetensors", "npz"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_embeddings_come_by_name_as_float32(tmp_path, extension, dtype):
    path = save(tmp_path / f"a.{extension}", {name: each.astype(dtype) for name, each in _STORED.items()})
    found = open_embeddings(path)
    assert dict(found.shapes) == dict.fromkeys(_IDS, (2, 3))
    for name, each in _STORED.items():
        values = found.null if name == "null_embedding" else found.load(name)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, each.astype(dtype).astype(np.float32))


def test_bfloat16(tmp_path):
    stored = {name: each.astype(ml_dtypes.bfloat16) for name, each in _STORED.items()}
    found = open_embeddings(save(tmp_path / "a.safetensors", stored))
    np.testing.assert_array_equal(found.load(_IDS[1]), stored[_IDS[1]].astype(np.float32))


@pytest.mark.parametrize("extension", ["safetensors", "npz"])
def test_threads_read_what_one_reads(tmp_path, extension):
    many = {f"{row}/x.png": np.full((7, 5), row, np.float32) for row in range(50)}
    found = open_embeddings(save(tmp_path / f"a.{extension}", many))
    assert found.null is None
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(found.load, list(many) * 4))
    for each, expected in zip(values, list(many.values()) * 4, strict=True):
        np.testing.assert_array_equal(each, expected)


def test_every_source_takes_them(tmp_path):
    source = open_source("digits:members[:2]")
    stored = dict(zip(source.ids, _VALUES, strict=False))
    path = save(tmp_path / "a.npz", stored)
    source = open_source(f"digits:members?embeddings={path}[1:2]")
    np.testing.assert_array_equal(source.load(0).embedding, _VALUES[1])
    np.savez(tmp_path / "b.npz", images=np.zeros((4, 8, 8), np.uint8), embeddings=_VALUES)
    with pytest.raises(InputError, match="holds embeddings itself; leave out embeddings="):
        open_source(f"npz:{tmp_path / 'b.npz'}?embeddings={path}")


@pytest.mark.parametrize("extension", ["safetensors", "npz"])
def test_errors_say_what_would_be_right(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    with pytest.raises(InputError, match="There is no file of embeddings"):
        open_embeddings(str(path))
    path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match=rf"cannot be read as a \.{extension}"):
        open_embeddings(str(path))
    with pytest.raises(InputError, match="'x' is .*; expected floating point"):
        open_embeddings(save(path, {"x": np.zeros((2, 3), np.int32)}))
    with pytest.raises(InputError, match=r"'null_embedding' has shape \(3,\); expected \[T,D\]"):
        open_embeddings(save(path, {"null_embedding": np.zeros(3, np.float32)}))
    found = open_embeddings(save(path, {"x": np.full((1, 1), np.nan, np.float32)}))
    with pytest.raises(InputError, match="embedding of 'x' holds values that are not finite"):
        found.load("x")


def test_other_kinds_of_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", _VALUES)
    with pytest.raises(
        InputError, match=r"a.npy is no file of embeddings; they come as .safetensors or .npz"
    ):
        open_embeddings(str(tmp_path / "a.npy"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=_VALUES[0])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", archive.read("x.npy"))
    with pytest.raises(InputError, match="holds two embeddings of 'x'"):
        open_embeddings(str(path))
