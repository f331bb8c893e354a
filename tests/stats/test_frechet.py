"""Fréchet distances against closed forms and SciPy's matrix root, and their interval against known truths."""

import numpy as np
import pytest
from scipy import linalg

from jaxaudit.errors import InputError
from jaxaudit.stats.frechet import (
    bootstrap_frechet,
    frechet_distance,
    gaussian_distance,
    moments,
)


def samples(seed, n=60, dim=5):
    generator = np.random.default_rng(seed)
    return generator.standard_normal((n, dim)) @ generator.standard_normal((dim, dim)) + generator.random(dim)


def test_a_stream_has_the_moments_of_the_whole():
    x = samples(0) + 1e4  # far from zero, where sums of squares would lose their digits
    merged = moments(x[:1])
    for batch in np.split(x[1:], [3, 20, 21]):
        merged = merged.merge(moments(batch))
    assert merged.count == 60
    np.testing.assert_allclose(merged.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(merged.covariance, np.cov(x, rowvar=False), rtol=1e-9)


def test_one_dimension_is_the_distance_of_means_and_deviations():
    distance = gaussian_distance(*map(np.array, ([1.0], [[4.0]], [3.0], [[9.0]])))
    assert distance == pytest.approx((1 - 3) ** 2 + (2 - 3) ** 2)


def test_commuting_covariances():
    rotation = linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    a, b = np.array([1.0, 4, 9, 0]), np.array([4.0, 4, 1, 25])
    left, right = (rotation * values @ rotation.T for values in (a, b))
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum() + 4
    assert gaussian_distance(np.zeros(4), left, np.ones(4), right) == pytest.approx(expected, rel=1e-12)


def test_equals_scipys_matrix_root():
    x, y = samples(1), samples(2)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(a @ b).real
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * root)
    distance = frechet_distance(moments(x), moments(y))
    assert distance == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(moments(y), moments(x)) == pytest.approx(distance, rel=1e-12)


def test_equal_sets_have_no_distance_even_with_constant_features():
    x = samples(3) * [1, 1e3, 0, 1e-3, 0]
    assert frechet_distance(moments(x), moments(x)) <= 1e-14 * x.var(0).sum()
    assert frechet_distance(moments(x), moments(x + np.array([0, 0, 2, 0, 0]))) == pytest.approx(4)
    assert gaussian_distance(np.array([1.0, 2]), np.zeros((2, 2)), np.array([1.0, 4]), np.zeros((2, 2))) == 4


def test_small_distances_keep_their_digits():
    x = samples(4)
    assert frechet_distance(moments(x), moments(x + 1e-6)) == pytest.approx(5e-12, rel=0.01)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("dim", "n", "shift"), [(4, 100, 0.5), (16, 100, 0.5), (8, 60, 0.0)])
def test_the_interval_covers_the_truth(dim, n, shift):
    """The estimate is far too high at these sizes, the interval is not."""
    deviations = np.sqrt(np.linspace(0.2, 1, dim)), np.sqrt(np.linspace(0.2, 1, dim)) * (1 + 0.2 * shift)
    truth = dim * shift**2 + np.square(deviations[0] - deviations[1]).sum()
    covered = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        x = generator.standard_normal((n, dim)) * deviations[0]
        y = generator.standard_normal((n, dim)) * deviations[1] + shift
        result = bootstrap_frechet(x, y, repetitions=60, confidence=0.9, seed=seed)
        assert result.bias > 0
        covered += result.distance.low <= truth <= result.distance.high
    assert covered >= 33  # of 36 expected; fewer than 33 has probability 4% at exactly 90%


@pytest.mark.usefixtures("unchecked")
def test_pairs_are_resampled_as_pairs():
    """Of noisy copies that are resampled one by one, the distance is taken for bias."""
    dim, n, noise, shift = 8, 100, 0.3, 0.1
    truth = gaussian_distance(np.zeros(dim), np.eye(dim), np.full(dim, shift), np.eye(dim) * (1 + noise**2))

    def measured(seed, paired):
        generator = np.random.default_rng(seed)
        x = generator.standard_normal((n, dim))
        y = x + shift + noise * generator.standard_normal((n, dim))
        return bootstrap_frechet(x, y, paired=paired, repetitions=40, confidence=0.9, seed=seed)

    pairs, singly = [measured(seed, True) for seed in range(40)], [measured(seed, False) for seed in range(8)]
    assert sum(found.distance.low <= truth <= found.distance.high for found in pairs) >= 33  # as above
    unbiased = [found.distance.estimate - found.bias for found in pairs]
    assert np.mean(unbiased) == pytest.approx(truth, rel=0.1)
    assert all(found.distance.high < truth and found.bias > found.distance.estimate for found in singly)


def test_what_is_shifted_alone_has_a_distance_without_doubt():
    x = samples(7)
    found = bootstrap_frechet(x, x + 0.5, paired=True, repetitions=20)
    np.testing.assert_allclose([found.distance.low, found.distance.high], 5 * 0.25, rtol=1e-6)
    assert found.bias == pytest.approx(0, abs=1e-9)


def test_the_record_of_a_bootstrap():
    result = bootstrap_frechet(samples(5), samples(6, n=40), repetitions=20, seed=3)
    assert result.distance.estimate == frechet_distance(moments(samples(5)), moments(samples(6, n=40)))
    assert (result.counts, result.num_features, result.repetitions, result.seed) == ((60, 40), 5, 20, 3)
    assert result == bootstrap_frechet(samples(5), samples(6, n=40), repetitions=20, seed=3)
    assert result != bootstrap_frechet(samples(5), samples(6, n=40), repetitions=20, seed=4)
    assert result.distance.low <= result.distance.high


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: moments(np.zeros(3)), r"shape \(3,\) do not fit"),
        (lambda: moments([[1.0, np.nan], [1, 2]]), "1 of 2 samples have features that are NaN"),
        (
            lambda: moments(np.ones((2, 3))).merge(moments(np.ones((2, 4)))),
            "3 and 4 numbers cannot be merged",
        ),
        (lambda: moments(np.ones((1, 3))).covariance, "1 are too few; at least 2"),
        (
            lambda: frechet_distance(moments(samples(0)), moments(samples(0, n=5))),
            "5 are too few; at least 6 samples for 5 features",
        ),
        (lambda: gaussian_distance([0, 0], np.eye(2), [0], np.eye(1)), "do not fit"),
        (lambda: gaussian_distance([0, 0], np.eye(2), [0, 0], -np.eye(2)), "positive semidefinite"),
        (lambda: gaussian_distance([0, 0], np.eye(2), [0, 0], [[1, 2], [0, 1]]), "symmetric"),
        (lambda: bootstrap_frechet(samples(0), samples(1), repetitions=1), "at least 2 repetitions"),
        (lambda: bootstrap_frechet(samples(0), samples(1), confidence=1), "confidence=1"),
        (
            lambda: bootstrap_frechet(samples(0), samples(1, n=40), paired=True),
            "60 samples and 40 are no pairs; paired sets are equally large",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_mistakes(call, reason):
    with pytest.raises(InputError, match=reason):
        call()
