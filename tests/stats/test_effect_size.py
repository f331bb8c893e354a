"""Hedges' g and its interval: closed forms, a slow influence function, and measured coverage."""

import numpy as np
import pytest
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.stats import hedges_g, welch


def draw(kind, rng, size):
    """Scores of variance 1 and mean 0."""
    if kind == "t3":
        return rng.standard_t(3, size) / np.sqrt(3)
    if kind == "log-normal":
        return (np.exp(rng.standard_normal(size)) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    return rng.standard_normal(size)


def standardised(x, y):
    return (x.mean() - y.mean()) / np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)


@pytest.mark.usefixtures("unchecked")
def test_unbiased_and_covering_with_unequal_variances():
    rng = np.random.default_rng(1)
    estimates, covered = [], []
    for _ in range(4000):
        effect = hedges_g(0.8 + 1.5 * rng.standard_normal(15), 0.5 * rng.standard_normal(60))
        estimates.append(effect.estimate)
        covered.append(effect.low <= 0.8 / np.sqrt((1.5**2 + 0.5**2) / 2) <= effect.high)
    assert np.mean(estimates) == pytest.approx(0.8 / np.sqrt(1.25), abs=0.015)
    assert 0.95 < np.mean(covered) < 0.985


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "n", "m", "g", "coverage"),
    [
        ("normal", 20, 20, 0.5, 0.978),
        ("t3", 100, 100, 0.5, 0.952),
        ("t3", 50, 400, 1, 0.923),
        ("log-normal", 100, 100, 0, 0.967),
        ("log-normal", 100, 100, 1, 0.898),
        ("log-normal", 50, 400, 0.5, 0.974),
    ],
)
def test_coverage_stands_in_the_table(kind, n, m, g, coverage):
    rng = np.random.default_rng(2)
    effects = [hedges_g(draw(kind, rng, n) + g, draw(kind, rng, m)) for _ in range(1000)]
    covered = np.mean([one.low <= g <= one.high for one in effects])
    assert covered == pytest.approx(coverage, abs=3 * np.sqrt(coverage * (1 - coverage) / 1000))


def test_the_error_is_the_jackknifes():
    """Large samples, where the influence (2) is what leaving a score out changes."""
    rng = np.random.default_rng(3)
    x, y = rng.exponential(size=900) + 0.7, rng.exponential(size=700)
    left_out = [np.delete(side, index) for side in (x, y) for index in range(side.size)]
    of_x = np.array([standardised(one, y) for one in left_out[:900]])
    of_y = np.array([standardised(x, one) for one in left_out[900:]])
    variance = of_x.var() * 899**2 / 900 + of_y.var() * 699**2 / 700
    effect = hedges_g(x, y)
    t, unbias = stats.t.ppf(0.975, 1500), effect.estimate / standardised(x, y)
    # Long tails lean to a smaller g: only the upper limit is t standard errors away.
    assert (effect.high - effect.estimate) / unbias == pytest.approx(t * np.sqrt(variance), rel=0.02)
    assert effect.estimate - effect.low > 1.02 * (effect.high - effect.estimate)


def test_scale_shift_and_sides_change_nothing_but_the_sign():
    rng = np.random.default_rng(4)
    x, y = draw("log-normal", rng, 40) + 1, draw("t3", rng, 25)
    one, scaled, swapped = hedges_g(x, y), hedges_g(3 * x + 7, 3 * y + 7), hedges_g(y, x)
    mirrored = hedges_g(-y, -x)
    for other in (scaled, mirrored):
        np.testing.assert_allclose(
            [other.estimate, other.low, other.high], [one.estimate, one.low, one.high], rtol=1e-9
        )
    np.testing.assert_allclose([swapped.low, swapped.high], [-one.high, -one.low], rtol=1e-9)
    assert welch(x, y).hedges_g == one
    assert hedges_g(x, y, confidence=0.8).low > one.low


def test_few_and_constant_scores():
    effect = hedges_g(np.array([0.0, 1]), np.array([5.0, 5]))
    assert effect.low < effect.estimate < 0 < effect.high
    equal = hedges_g(np.array([0.0, 1, 0, 1]), np.array([1.0, 0, 1, 0]))  # all influences are as large
    assert equal.low == -equal.high < 0
    with pytest.raises(InputError, match="g needs a variance"):
        hedges_g(np.ones(3), np.zeros(3))
    with pytest.raises(InputError, match="1 are too few"):
        hedges_g(np.ones(1), np.arange(3.0))
