"""Similarities against NumPy, and their thresholds against the digits they are for."""

import numpy as np
import pytest

from jaxaudit.attacks import similarity
from jaxaudit.attacks.similarity import get_similarity, nearest_other, pairwise
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.feature_extractors import Extractor, pixels


def digits(half):
    source = open_source(f"digits:{half}")
    return np.stack([source.read(i)[0] for i in range(len(source.ids))]).astype(np.float32) / 255


def test_pixels_are_correlation():
    a, b = np.random.default_rng(0).random((2, 5, 8, 8, 3), np.float32)
    a, b = (np.repeat(x[..., :1], 3, -1) for x in (a, b))
    embed = get_similarity().embed
    expected = [np.corrcoef(x[..., 0].ravel(), y[..., 0].ravel())[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(pairwise(embed(a), embed(b)), expected, atol=1e-5)
    np.testing.assert_allclose(pairwise(embed(a), embed(0.2 + 0.5 * a)), 1, atol=1e-5)
    np.testing.assert_allclose(pairwise(embed(a), embed(1 - a)), -1, atol=1e-5)


def test_a_picture_without_contrast_is_similar_to_nothing():
    features = get_similarity().embed(np.full((1, 8, 8, 3), 0.3, np.float32))
    np.testing.assert_array_equal(features, np.zeros((1, 64)))


@pytest.mark.parametrize("block", [3, 8, 100])
def test_nearest_other_equals_a_loop(monkeypatch, block):
    monkeypatch.setattr(similarity, "_BLOCK", block)
    a, b = (np.random.default_rng(i).standard_normal((n, 4)).astype(np.float32) for i, n in ((0, 8), (1, 5)))
    among = [max(a[i] @ a[j] for j in range(8) if j != i) for i in range(8)]
    np.testing.assert_allclose(nearest_other(a), among, rtol=1e-5)
    np.testing.assert_allclose(nearest_other(a, b), (a @ b.T).max(1), rtol=1e-5)
    np.testing.assert_allclose(
        nearest_other(-np.abs(a), np.abs(b)), (-np.abs(a) @ np.abs(b).T).max(1), rtol=1e-5
    )


def test_an_exact_copy_in_another_row_counts():
    a = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(nearest_other(a), [0, 0, 0])
    np.testing.assert_array_equal(nearest_other(a[[0, 1, 0]]), [1, 0, 1])


def test_the_threshold_of_pixels_holds_on_the_digits():
    measure = get_similarity("pixels")
    members, nonmembers = (measure.embed(digits(half)) for half in ("members", "nonmembers"))
    among = (nearest_other(members) >= measure.threshold).mean()
    across = (nearest_other(nonmembers, members) >= measure.threshold).mean()
    assert across == 0
    assert "none of the built-in digits' nonmembers" in measure.meaning
    assert f"{among:.1%} of the members" in measure.meaning


def test_sscd_takes_the_descriptors_as_they_are():
    def features(params, images):
        return images.mean((1, 2)) * params["scale"]

    extractor = Extractor("test", "sscd", {"scale": 3.0}, features, 3, "ab12")
    measure = get_similarity("sscd", extractor)
    assert (measure.name, measure.threshold) == ("sscd", 0.75)
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    mean = images.mean((1, 2))
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(measure.embed(images), expected, rtol=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_mistakes():
    with pytest.raises(InputError, match="Unknown similarity 'sscdd'; did you mean sscd"):
        get_similarity("sscdd")
    with pytest.raises(InputError, match="needs an extractor with weights.*--family=sscd"):
        get_similarity("sscd")
    with pytest.raises(InputError, match="does not take the features of 'pixels'"):
        get_similarity("sscd", pixels())
    with pytest.raises(InputError, match="do not fit"):
        pairwise(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="do not fit"):
        nearest_other(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InputError, match="No other picture to compare with among 1"):
        nearest_other(np.zeros((1, 3)))
