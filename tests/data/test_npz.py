"""Arrays as a source."""

import numpy as np
import pytest

from jaxaudit.data import open_source, resolve_labels
from jaxaudit.errors import InputError

_IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


def _save(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return f"npz:{tmp_path / 'a.npz'}"


@pytest.mark.parametrize(
    "stored",
    [
        _IMAGES[..., 0],
        _IMAGES[..., :1],
        (_IMAGES[..., 0] / 255).astype(np.float32),
        (_IMAGES[..., 0] / 255).astype(np.float16),
        _IMAGES[..., 0] / 255,
    ],
    ids=["NHW", "NHW1", "float32", "float16", "float64"],
)
def test_grey_and_float_arrays_become_rgb_bytes(tmp_path, stored):
    source = open_source(_save(tmp_path, images=stored, labels=np.array([2, 0, 1])))
    for index in range(3):
        sample = source.load(index)
        assert sample.image.dtype == np.uint8
        np.testing.assert_array_equal(sample.image, _IMAGES[index, ..., :1].repeat(3, axis=-1))
    assert source.labels.tolist() == [2, 0, 1]


def test_rgb_bytes_are_returned_as_they_are(tmp_path):
    source = open_source(_save(tmp_path, images=_IMAGES, labels=np.zeros(3, np.uint8)))
    np.testing.assert_array_equal(source.load(1).image, _IMAGES[1])
    assert (source.ids[1], source.load(1).label) == ("1", 0)


def test_labels_are_class_indices_checked_by_range(tmp_path):
    source = open_source(_save(tmp_path, images=_IMAGES, labels=np.array([0, 7, 1])))
    assert resolve_labels(source, 8) is source
    with pytest.raises(InputError, match=r"gives '1' the label 7 \(the array 'labels'\), but .* are 0..6"):
        resolve_labels(source, 7)


def test_missing_labels_are_refused_unless_one_is_given(tmp_path):
    spec = _save(tmp_path, images=_IMAGES)
    with pytest.raises(
        InputError, match=r"gives no label for 3 of its 3 pictures, e.g. '0' \(there is no array"
    ):
        resolve_labels(open_source(spec), 10)
    assert resolve_labels(open_source(f"{spec}?label=4"), 10).labels.tolist() == [4, 4, 4]
    assert resolve_labels(open_source(spec), 0).labels.tolist() == [0, 0, 0]


def test_captions_and_embeddings_lie_in_columns(tmp_path):
    embeddings, captions = np.random.default_rng(1).random((3, 4, 5)), np.array(["a", "", "zwei"])
    source = open_source(
        _save(
            tmp_path, images=_IMAGES, captions=captions, embeddings=embeddings, null_embedding=embeddings[0]
        )
    )
    assert [source.load(i).caption for i in range(3)] == ["a", "", "zwei"]
    found = source.take([2, 1])
    np.testing.assert_array_equal(found.load(0).embedding, embeddings[2].astype(np.float32))
    np.testing.assert_array_equal(source.embeddings.null, embeddings[0].astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": _IMAGES}, "has no array 'images'; it has pictures"),
        ({"images": _IMAGES[0, ..., 0]}, r"'images' has shape \(4, 5\); expected \[N,H,W\]"),
        ({"images": _IMAGES[..., :2]}, r"'images' has shape \(3, 4, 5, 2\)"),
        ({"images": _IMAGES.astype(np.int32)}, "'images' is int32; expected uint8, or floats"),
        (
            {"images": _IMAGES.astype(np.float32)},
            r"'images' holds float32 from 0.0 to \d+.0; floats must lie within",
        ),
        ({"images": np.full((1, 2, 2), np.nan)}, "'images' holds float64 from nan to nan"),
        ({"images": np.full((1, 2, 2), -0.1)}, "from -0.1 to -0.1"),
        ({"images": _IMAGES[:0]}, "holds no picture"),
        ({"images": _IMAGES, "labels": np.arange(4)}, r"of shape \(4,\); expected 3 integers"),
        ({"images": _IMAGES, "labels": np.zeros(3)}, "'labels' is float64"),
        ({"images": _IMAGES, "labels": np.array([0, -2, 0])}, "label -2 is not a class index"),
        (
            {"images": _IMAGES, "captions": np.array(["a", "b"])},
            r"'captions' is <U1 of shape \(2,\); expected 3",
        ),
        ({"images": _IMAGES, "captions": np.arange(3)}, "'captions' is int64 .*; expected 3 texts"),
        (
            {"images": _IMAGES, "embeddings": np.zeros((3, 4))},
            r"shape \(3, 4\); expected \[N,T,D\] with N = 3",
        ),
        ({"images": _IMAGES, "embeddings": np.zeros((2, 4, 5))}, r"shape \(2, 4, 5\); .* N = 3"),
        ({"images": _IMAGES, "embeddings": np.zeros((3, 4, 5), int)}, "'embeddings' is int64; .* floating"),
        (
            {"images": _IMAGES, "embeddings": np.zeros((3, 4, 5)), "null_embedding": np.zeros(5)},
            r"'null_embedding' has shape \(5,\); expected \[T,D\]",
        ),
        ({"images": np.array([None])}, "cannot be read as a .npz archive"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    spec = _save(tmp_path, **arrays)
    with pytest.raises(InputError, match=message):
        open_source(spec)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(InputError, match="cannot be read as a"):
        open_source(f"npz:{path}")
    np.save(tmp_path / "a.npy", _IMAGES)
    with pytest.raises(InputError, match="holds a single array"):
        open_source(f"npz:{tmp_path / 'a.npy'}")
    with pytest.raises(InputError, match="cannot be read"):
        open_source(f"npz:{tmp_path}")
    np.savez(path, images=_IMAGES)
    with pytest.raises(InputError, match="label=x is not a class index"):
        open_source(f"npz:{path}?label=x")
