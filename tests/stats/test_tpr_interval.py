"""The interval of the TPR at a fixed FPR: measured coverage, slow sums, the bootstrap, and few nonmembers."""

import numpy as np
import pytest
from scipy import stats

from jaxaudit.stats import tpr_at_fpr, tpr_at_fpr_interval
from jaxaudit.stats.roc import members_above
from jaxaudit.stats.tpr_interval import _mixture, _region


def clustered(rng, size, fpr, above):
    """Members of which 60% lie at the true threshold, just above or just below it: the ROC jumps there."""
    place = stats.norm.isf(fpr) + (1e-6 if above else -1e-6)
    return np.where(rng.random(size) < 0.6, place, -3.0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("m", "fpr", "shift", "coverage"),
    [(1000, 0.01, 0.0, 0.97), (1000, 0.01, 1.0, 0.97), (1000, 0.01, 3.0, 0.97), (300, 0.01, 2.0, 0.98)],
)
def test_covers_with_the_error_of_the_threshold(m, fpr, shift, coverage):
    truth = stats.norm.sf(stats.norm.isf(fpr) - shift)
    rng = np.random.default_rng(7)
    intervals = [
        tpr_at_fpr_interval(rng.standard_normal(m) + shift, rng.standard_normal(m), fpr=fpr)
        for _ in range(250)
    ]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    assert covered == pytest.approx(coverage, abs=0.02)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("above", "truth"), [(True, 0.6), (False, 0.0)])
def test_covers_where_the_curve_jumps(above, truth):
    rng = np.random.default_rng(8)
    sides = [(clustered(rng, 500, 0.01, above), rng.standard_normal(500)) for _ in range(250)]
    intervals = [tpr_at_fpr_interval(x, y) for x, y in sides]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    assert covered > 0.95


@pytest.mark.usefixtures("unchecked")
def test_covers_discrete_scores():
    values = np.arange(6)  # few values, so ties decide everything
    p_members, p_nonmembers = np.array([1, 2, 3, 4, 4, 2]) / 16, np.array([6, 4, 3, 2, 0.85, 0.15]) / 16
    truth = p_members[5:].sum()  # above 4: FPR 0.9%, above 3: 6%
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(500):
        one = tpr_at_fpr_interval(
            rng.choice(values, 800, p=p_members), rng.choice(values, 800, p=p_nonmembers)
        )
        covered.append(one.low <= truth <= one.high)
    assert np.mean(covered) == pytest.approx(0.974, abs=0.003)


def test_mixed_limits_solve_their_equations_and_lie_inside_the_region():
    rng = np.random.default_rng(9)
    members, nonmembers = rng.standard_normal(600) + 2.5, rng.standard_normal(600)
    k, a = np.arange(601), 0.025
    above = members_above(members, nonmembers, np.arange(-1, 601))
    weights = stats.binom.pmf(k, 600, 0.01)
    low, high = _mixture(above[:-1], above[1:], 600, weights, a)
    left = right = 0.0
    for count, weight in zip(k, weights, strict=True):
        least, most = np.sum(members > np.sort(nonmembers)[-count]) if count else 0, above[count + 1]
        left += weight * (stats.beta.cdf(low, least, 601 - least) if least else 1)
        right += weight * (stats.beta.sf(high, most + 1, 600 - most) if most < 600 else 1)
    assert left == pytest.approx(a, rel=1e-6)
    assert right == pytest.approx(a, rel=1e-6)
    at_most, at_least = stats.binom.cdf(k, 600, 0.01), stats.binom.sf(k - 1, 600, 0.01)
    widest = _region(above[:-1], above[1:], 600, at_most, at_least, a)
    assert widest[0] < low < high < widest[1]
    assert high - low < 0.9 * (widest[1] - widest[0])
    one = tpr_at_fpr_interval(members, nonmembers)
    np.testing.assert_allclose([one.low, one.high], [low, high], rtol=1e-9)


def test_agrees_with_the_bootstrap_where_that_works():
    rng = np.random.default_rng(4)
    members, nonmembers = rng.standard_normal(2000) + 1, rng.standard_normal(2000)
    draws = [
        tpr_at_fpr(rng.choice(members, 2000), rng.choice(nonmembers, 2000), fpr=0.05) for _ in range(1000)
    ]
    interval = tpr_at_fpr_interval(members, nonmembers, fpr=0.05)
    low, high = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose([interval.low, interval.high], [low, high], atol=0.012)


def test_few_nonmembers_bound_nothing_from_below():
    members, nonmembers = np.full(50, 10.0), np.arange(300.0) / 300
    assert tpr_at_fpr_interval(members, nonmembers, fpr=0.01).low == 0  # 0.99^300: with 5% all 300 stay below
    assert tpr_at_fpr_interval(members, np.arange(367.0) / 367, fpr=0.01).low == 0
    assert tpr_at_fpr_interval(members, np.arange(368.0) / 368, fpr=0.01).low > 0
    assert tpr_at_fpr_interval(members, np.arange(500.0) / 500, fpr=0.01).low > 0.85
    assert tpr_at_fpr_interval(-members, nonmembers, fpr=0.01).high > 0.06  # rule of three: 3 / 50


def test_holds_its_estimate_and_shrinks_with_confidence():
    rng = np.random.default_rng(5)
    for shift in (0, 0.5, 2, 5):
        members, nonmembers = (
            np.round(rng.standard_normal(150) + shift, 1),
            np.round(rng.standard_normal(700), 1),
        )
        for fpr in (0, 0.01, 0.1, 0.9, 1):
            wide = tpr_at_fpr_interval(members, nonmembers, fpr=fpr, confidence=0.99)
            narrow = tpr_at_fpr_interval(members, nonmembers, fpr=fpr, confidence=0.8)
            assert 0 <= wide.low <= narrow.low <= narrow.estimate <= narrow.high <= wide.high <= 1
            assert narrow.estimate == tpr_at_fpr(members, nonmembers, fpr=fpr)
