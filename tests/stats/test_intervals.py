"""Intervals against SciPy, closed forms and measured coverage."""

import numpy as np
import pytest
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.stats import (
    auc,
    auc_interval,
    balanced_accuracy_interval,
    clopper_pearson,
)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_clopper_pearson_equals_scipy(confidence):
    for trials in (1, 7, 250):
        for successes in {0, 1, trials // 3, trials}:
            expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
            ours = clopper_pearson(successes, trials, confidence=confidence)
            np.testing.assert_allclose([ours.low, ours.high], expected, rtol=1e-9, atol=1e-12)
            assert ours.estimate == successes / trials


def test_clopper_pearson_of_effective_counts_lies_between_whole_ones():
    low, middle, high = (clopper_pearson(c, 20) for c in (12, 12.5, 13))
    assert low.low < middle.low < high.low
    assert low.high < middle.high < high.high
    with pytest.raises(InputError, match="5 successes among 4 trials"):
        clopper_pearson(5, 4)
    with pytest.raises(InputError, match=r"confidence=1\.5"):
        clopper_pearson(1, 4, confidence=1.5)


def slow_delong_variance(members, nonmembers):
    wins = np.array([[float(x > y) + 0.5 * float(x == y) for y in nonmembers] for x in members])
    by_member, by_nonmember = wins.mean(axis=1), wins.mean(axis=0)
    return np.var(by_member, ddof=1) / len(members), np.var(by_nonmember, ddof=1) / len(nonmembers)


def test_auc_interval_equals_the_structural_components_in_loops():
    rng = np.random.default_rng(0)
    members, nonmembers = np.round(rng.standard_normal(30) + 1, 1), np.round(rng.standard_normal(40), 1)
    interval = auc_interval(members, nonmembers)
    a, b = slow_delong_variance(members, nonmembers)
    df = (a + b) ** 2 / (a**2 / 29 + b**2 / 39)
    area = auc(members, nonmembers)
    half = stats.t.ppf(0.975, df) * np.sqrt(a + b)
    logit = np.log(area / (1 - area))
    slope = 1 / (area * (1 - area))
    np.testing.assert_allclose(np.log(interval.low / (1 - interval.low)), logit - half * slope, rtol=1e-9)
    np.testing.assert_allclose(np.log(interval.high / (1 - interval.high)), logit + half * slope, rtol=1e-9)
    assert interval.estimate == pytest.approx(area)


def test_auc_interval_agrees_with_the_bootstrap():
    rng = np.random.default_rng(1)
    members, nonmembers = rng.standard_normal(200) + 1, rng.standard_normal(300)
    draws = [
        auc(rng.choice(members, members.size), rng.choice(nonmembers, nonmembers.size)) for _ in range(1500)
    ]
    interval = auc_interval(members, nonmembers)
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(draws, [0.025, 0.975]), atol=0.006)


def test_perfect_separation_is_not_certainty():
    ten = np.arange(10.0)
    above = auc_interval(ten + 100, ten)
    assert (above.estimate, above.high) == (1, 1)
    assert above.low == pytest.approx(0.025 ** (1 / 10))  # ten concordant independent pairs
    below = auc_interval(ten - 100, ten)
    assert (below.estimate, below.low) == (0, 0)
    assert below.high == pytest.approx(1 - above.low)
    tied = auc_interval(np.ones(10), np.ones(20))
    assert tied.low < 0.25 < tied.estimate == 0.5 < 0.75 < tied.high
    with pytest.raises(InputError, match="1 are too few; at least 2"):
        auc_interval(ten[:1], ten)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("n", "m", "shift", "coverage"),
    [
        (500, 500, 0.2, 0.963),
        (50, 50, 1.0, 0.956),
        (20, 200, 1.0, 0.966),
        (50, 50, 3.0, 0.951),
        (20, 200, 3.0, 0.924),
    ],
)
def test_auc_interval_covers(n, m, shift, coverage):
    truth = stats.norm.cdf(shift / np.sqrt(2))
    rng = np.random.default_rng(n + m)
    intervals = [auc_interval(rng.standard_normal(n) + shift, rng.standard_normal(m)) for _ in range(1000)]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    assert covered == pytest.approx(coverage, abs=0.003)


def test_balanced_accuracy_interval():
    members, nonmembers = np.r_[np.zeros(20), np.ones(80)], np.r_[np.zeros(150), np.ones(50)]
    one = balanced_accuracy_interval(members, nonmembers, 0.5)
    assert one.estimate == pytest.approx((0.8 + 0.75) / 2)
    perfect = balanced_accuracy_interval(np.ones(30), np.zeros(30), 0.5)
    assert (perfect.estimate, perfect.high) == (1, 1)
    assert perfect.low == pytest.approx(1 - np.sqrt(2) * (1 - 0.025 ** (1 / 30)) / 2)
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(1000):
        sides = (rng.random(60) < 0.3).astype(float), (rng.random(200) < 0.1).astype(float)
        interval = balanced_accuracy_interval(*sides, 0.5)
        covered.append(interval.low <= (0.3 + 0.9) / 2 <= interval.high)
    assert np.mean(covered) == pytest.approx(0.971, abs=0.003)
