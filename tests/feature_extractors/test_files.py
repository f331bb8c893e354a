"""Extractors on disk: what comes back, and what a file that is none is said to be."""

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxaudit.errors import InputError
from jaxaudit.feature_extractors import abstract_params, load_extractor, save_extractor

CONFIG = {"stage_sizes": [1], "width": 4, "inner_width": 4, "groups": 1, "dim": 6}


@pytest.fixture
def params():
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: generator.random(leaf.shape, np.float32), abstract_params("sscd", CONFIG)
    )


def save(file, params, **changed):
    arguments = {"kind": "sscd", "config": CONFIG, "params": params, "provenance": {"variant": None}}
    return save_extractor(file, **arguments | changed)


def test_round_trip(tmp_path, params):
    file = tmp_path / "new" / "small.safetensors"
    record = save(file, params)
    extractor = load_extractor(file)
    assert (extractor.name, extractor.kind, extractor.dim) == (str(file), "sscd", 6)
    jax.tree.map(np.testing.assert_array_equal, extractor.params, params)
    assert extractor.provenance == {"variant": None, "fingerprint": record["fingerprint"]}
    assert extractor.fingerprint == record["fingerprint"]
    assert list(file.parent.iterdir()) == [file]
    params["backbone"]["fc"]["bias"] = params["backbone"]["fc"]["bias"] + 1
    assert save(file, params, overwrite=True)["fingerprint"] != record["fingerprint"]


def test_half_precision_stays_close(tmp_path, params):
    file = tmp_path / "small.safetensors"
    save(file, params)
    images = np.random.default_rng(1).random((1, 32, 32, 3), np.float32)
    full, half = (np.asarray(load_extractor(file, dtype=dtype)(images)) for dtype in ("float32", "bfloat16"))
    assert half.dtype == np.float32
    assert (full != half).any()
    assert 0.99 < np.sum(full.astype(np.float64) * half) < 1 + 1e-6


def test_pixels_need_no_file():
    assert load_extractor("pixels").dim == 64


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sscd_disc_mixup", "Download https://dl.fbaipublicfiles.com/.*--family=sscd --weights=sscd_disc_mi"),
        ("inception", "Download https://github.com/mseitzer/pytorch-fid/.*--family=inception"),
        ("pixel", "Unknown extractor 'pixel'; did you mean pixels"),
    ],
)
def test_names_without_a_file(name, reason):
    with pytest.raises(InputError, match=reason):
        load_extractor(name)


def test_files_that_are_no_extractor(tmp_path, params):
    file = tmp_path / "x.safetensors"
    file.write_text("text")
    with pytest.raises(InputError, match="is no extractor, or damaged"):
        load_extractor(file)
    save_file({"a": np.zeros(2, np.float32)}, file)
    with pytest.raises(InputError, match="is no extractor; convert"):
        load_extractor(file)
    with pytest.raises(InputError, match="is no extractor"):
        save(file, params, overwrite=True)
    with pytest.raises(InputError, match="exists; choose another"):
        save(file, params)
    file.unlink()
    save(file, params)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(InputError, match="is no extractor, or damaged"):
        load_extractor(file)


def test_flipped_bits_of_weights_are_noticed(tmp_path, params):
    file = tmp_path / "x.safetensors"
    save(file, params)
    content = bytearray(file.read_bytes())
    content[-7] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="is damaged: its weights are not those of its fingerprint"):
        load_extractor(file)


@pytest.mark.parametrize("record", ["[]", "1", '{"format": 1}', '{"format": 1, "kind": 3}', "{"])
def test_records_of_something_else(tmp_path, record):
    file = tmp_path / "x.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, file, metadata={"jaxaudit_extractor": record})
    with pytest.raises(InputError, match="is no extractor, or damaged"):
        load_extractor(file)


def test_parameters_that_do_not_fit(tmp_path, params):
    del params["backbone"]["bn1"]
    params["backbone"]["fc"]["bias"] = np.zeros(7, np.float32)
    with pytest.raises(InputError, match="5 tensors differ, e.g. backbone/bn1/bias is None, not"):
        save(tmp_path / "x.safetensors", params)
    assert list(tmp_path.iterdir()) == []
