"""Reading checkpoint files: formats, precisions, and what a broken file is said to be."""

import argparse
import builtins
import hashlib
import weakref
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from checkpoints_convert import reading, stored
from checkpoints_convert.reading import read, sha256, unwrap
from jaxaudit.errors import InputError

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "index": torch.tensor([[3, 4]]),
}


def write(path, kind):
    if kind == "safetensors":
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_tensors_come_out_as_they_were_stored(tmp_path, kind):
    content = read(write(tmp_path / "model.bin", kind))
    assert set(content) == set(TENSORS)
    np.testing.assert_array_equal(content["a"], [[0, 1, 2], [3, 4, 5]])
    assert [content[name].dtype for name in TENSORS] == [np.float32, np.float16, ml_dtypes.bfloat16, np.int64]
    np.testing.assert_array_equal(np.asarray(content["brain"], np.float32), [1.5, -2.0])
    np.testing.assert_array_equal(content["index"], [[3, 4]])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("zip", "is not a complete PyTorch"),
        ("legacy", "is not a complete PyTorch"),
        ("safetensors", "safetensors"),
    ],
)
def test_truncated_files(tmp_path, kind, reason):
    path = write(tmp_path / "model.pth", kind)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=reason) as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither a PyTorch checkpoint nor"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"\x93NUMPY\x01\x00", "neither a PyTorch checkpoint nor"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, content, reason):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.pth: No such file"):
        read(tmp_path / "nothing.pth")


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(InputError, match="pickled Python objects"):
        read(tmp_path / "module.pth")


def test_a_lone_tensor_and_a_sparse_one_are_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(InputError, match="holds a Tensor, not a dict"):
        read(tmp_path / "tensor.pth")
    torch.save({"model": {"w": torch.eye(3).to_sparse()}}, tmp_path / "sparse.pth")
    with pytest.raises(InputError, match=r"model/w of .* is sparse"):
        read(tmp_path / "sparse.pth")


def test_views_of_one_storage(tmp_path):
    """Transposed, sliced, shared and empty tensors, and one that is a scalar."""
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    content = {
        "whole": whole,
        "transposed": whole.T,
        "part": whole[1:3, ::2],
        "one": whole[3, 5],
        "none": whole[:0],
        "parameter": torch.nn.Parameter(whole[:, 4]),
        "alone": torch.tensor(7, dtype=torch.int64),
    }
    torch.save(content, tmp_path / "views.pth")
    found = read(tmp_path / "views.pth")
    for name, tensor in content.items():
        array = np.asarray(found[name])
        assert (array.shape, array.dtype) == (found[name].shape, found[name].dtype)
        assert (found[name].size, found[name].nbytes) == (array.size, array.nbytes)
        np.testing.assert_array_equal(array, tensor.detach().numpy())


@pytest.mark.parametrize("kind", ["zip", "safetensors"])
def test_values_stay_in_the_file_until_they_are_asked_for(tmp_path, monkeypatch, kind):
    path, mapped = write(tmp_path / "model.bin", kind), []
    monkeypatch.setattr(stored.np, "memmap", lambda *arguments: mapped.append(arguments))
    monkeypatch.setattr(reading, "_safetensor", lambda *arguments: mapped.append(arguments))
    read(path)
    assert not mapped


def test_a_mapping_goes_with_its_array(tmp_path):
    content = read(write(tmp_path / "model.pth", "zip"))
    first, second = np.asarray(content["a"]), np.asarray(content["a"])
    assert isinstance(first.base, np.memmap)
    assert first.base is not second.base
    mapping = weakref.ref(first.base)
    del first
    assert mapping() is None


def test_archives_that_others_have_packed(tmp_path):
    """PyTorch computes where values are as if it had written the archive."""
    for name, compression in (("moved", zipfile.ZIP_STORED), ("compressed", zipfile.ZIP_DEFLATED)):
        with (
            zipfile.ZipFile(write(tmp_path / "model.pth", "zip")) as source,
            zipfile.ZipFile(tmp_path / name, "w", compression) as archive,
        ):
            for record in source.namelist():
                archive.writestr(record, source.read(record))
        with pytest.raises(InputError, match=rf"{name} was not packed by PyTorch; load it with torch.load"):
            read(tmp_path / name)


def test_the_other_byte_order(tmp_path):
    with (
        zipfile.ZipFile(write(tmp_path / "model.pth", "zip")) as source,
        zipfile.ZipFile(tmp_path / "big.pth", "w") as archive,
    ):
        for record in source.namelist():
            archive.writestr(record, b"big" if record.endswith("byteorder") else source.read(record))
    with pytest.raises(InputError, match=r"big\.pth was written on a big-endian machine"):
        read(tmp_path / "big.pth")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_types_that_are_not_read(tmp_path, dtype):
    torch.save({"model": {"w": torch.ones(3).to(dtype)}}, tmp_path / "model.pth")
    with pytest.raises(
        InputError, match=rf"model/w of .* is {str(dtype)[6:]}, which this converter does not"
    ):
        read(tmp_path / "model.pth")


def test_a_pytorch_that_does_not_say_where_values_are(tmp_path, monkeypatch):
    path, load = write(tmp_path / "model.pth", "zip"), torch.load

    def older(*arguments, **options):
        content = load(*arguments, **options)
        return {key: torch.empty_like(tensor) for key, tensor in content.items()}

    monkeypatch.setattr(torch, "load", older)
    with pytest.raises(InputError, match=r"needs PyTorch 2\.10 or newer"):
        read(path)


def test_training_checkpoints_nest_the_weights(tmp_path):
    content = {"trainer": {"vae": TENSORS, "step": 7}, "args": argparse.Namespace(lr=0.1), "epoch": 3}
    torch.save(content, tmp_path / "last.ckpt")
    content = read(tmp_path / "last.ckpt")
    assert set(unwrap(content, "trainer/vae")) == set(TENSORS)
    assert unwrap(content, "") == unwrap(content, "trainer") == unwrap(content, "trainer/step/x") == {}


def test_a_prefix_of_the_keys_is_a_nesting_too(tmp_path):
    stage = {f"stage.{key}": tensor for key, tensor in TENSORS.items()}
    torch.save({"state": stage | {"unet.a": torch.zeros(1)}}, tmp_path / "last.ckpt")
    content = read(tmp_path / "last.ckpt")
    assert set(unwrap(content, "state/stage.")) == set(TENSORS)
    assert set(unwrap(content, "state/unet.")) == {"a"}
    assert set(unwrap(content["state"], "stage.")) == set(TENSORS)
    assert unwrap(content, "stage.") == unwrap(content, "state/other.") == {}


def test_without_torch(tmp_path, monkeypatch):
    path, other = write(tmp_path / "m.pth", "zip"), write(tmp_path / "m.safetensors", "safetensors")
    original = builtins.__import__

    def no_torch(name, *args, **kwargs):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(InputError, match=r'pip install "jaxaudit\[convert\]"'):
        read(path)
    assert set(read(other)) == set(TENSORS)


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"x" * 100_000).hexdigest()
