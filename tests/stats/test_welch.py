"""Welch's test, its permutation version and the effect size: SciPy, recorded values, loops and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.stats import permutation_p_value, welch
from jaxaudit.stats.welch import (
    can_be_split,
    check_permutable,
    check_permutations,
    enough_permutations,
    fewest_permutable,
    random_split_statistics,
    rank_p_value,
    split_statistics,
)
from tests.golden import weights
from tests.stats import simulated

CONFIG, IO = weights.load("mia_metrics")


def test_recorded_values():
    tested = 0
    for one in CONFIG["score_sets"]:
        index = one["index"]
        members, nonmembers = IO[f"s{index:02d}_members"], IO[f"s{index:02d}_nonmembers"]
        if np.ptp(members) == 0 and np.ptp(nonmembers) == 0:
            with pytest.raises(InputError, match="a t-test needs a variance"):
                welch(members, nonmembers)
            continue
        tested += 1
        test = welch(-members, -nonmembers)
        np.testing.assert_allclose(test.t, -IO["t_statistic"][index], rtol=1e-9)
        np.testing.assert_allclose(test.df, IO["welch_df"][index], rtol=1e-9)
        np.testing.assert_allclose(test.p_value, IO["p_less"][index], rtol=1e-9)
        np.testing.assert_allclose(welch(members, nonmembers).p_value, IO["p_greater"][index], rtol=1e-9)
        np.testing.assert_allclose(test.p_value_two_sided, IO["p_two_sided_f64"][index], rtol=1e-9)
        single = one["dtype"] == "float32"
        for prefix in ("iar", "cdi"):
            published = IO[f"{prefix}_p_value_two_sided"][index]
            np.testing.assert_allclose(
                test.p_value_two_sided, published, rtol=0 if single else 1e-9, atol=1e-6 * single
            )
            sign = 1 if one["members_lower"] else -1
            assert (sign * test.t > 0) == (IO[f"{prefix}_is_correct_order"][index] == 1)
    assert tested == 24


def test_equals_scipy_with_its_interval():
    rng = np.random.default_rng(0)
    members, nonmembers = rng.standard_normal(30) * 2 + 1, rng.standard_normal(50)
    expected = stats.ttest_ind(members, nonmembers, equal_var=False)
    test = welch(members, nonmembers, confidence=0.9)
    interval = expected.confidence_interval(0.9)
    np.testing.assert_allclose(
        [test.t, test.df, test.p_value_two_sided], [expected.statistic, expected.df, expected.pvalue]
    )
    np.testing.assert_allclose(
        [test.mean_difference.low, test.mean_difference.high], [interval.low, interval.high]
    )
    assert test.mean_difference.estimate == pytest.approx(members.mean() - nonmembers.mean())


def test_few_splits_are_enumerated_alike():
    members, nonmembers = np.array([3.0, 4.5, 6.1, 5.2]), np.array([1.0, 2.5, 4.6, 3.1, 0.2])
    pooled = np.r_[members, nonmembers]
    observed = stats.ttest_ind(members, nonmembers, equal_var=False).statistic
    reached = 0
    for chosen in itertools.combinations(range(9), 4):
        rest = np.delete(pooled, chosen)
        reached += stats.ttest_ind(pooled[list(chosen)], rest, equal_var=False).statistic >= observed - 1e-9
    exact = reached / 126
    assert permutation_p_value(members, nonmembers, permutations=100_000) == pytest.approx(exact, abs=0.0015)


def test_split_statistics_equal_scipy_row_by_row():
    rng = np.random.default_rng(2)
    scores = np.exp(rng.standard_normal(40)) + 1e4
    chosen = np.argsort(rng.random((6, 40)), axis=1) < 11
    t, df = split_statistics(scores, chosen)
    for row in range(6):
        expected = stats.ttest_ind(scores[chosen[row]], scores[~chosen[row]], equal_var=False)
        np.testing.assert_allclose([t[row], df[row]], [expected.statistic, expected.df], rtol=1e-6)


def test_splits_without_variance_are_infinite_not_nan():
    t, _ = split_statistics(
        np.array([1.0, 1, 0, 0]), np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]], bool)
    )
    assert list(t) == [np.inf, -np.inf, 0]
    t, _ = split_statistics(np.ones(4), np.array([[1, 1, 0, 0]], bool))
    assert t[0] == 0
    assert permutation_p_value(np.ones(5), np.zeros(5), permutations=9_999) == pytest.approx(
        1 / 252, abs=0.002
    )


def test_random_splits_have_the_size_asked_for_and_depend_on_the_seed_alone():
    scores = np.arange(7.0)
    seen = {round(t, 9) for t in random_split_statistics(scores, 2, 500, np.random.default_rng(0))[0]}
    every = {
        round(split_statistics(scores, np.isin(np.arange(7), pair)[None])[0][0], 9)
        for pair in itertools.combinations(range(7), 2)
    }
    assert seen == every
    one, two = (permutation_p_value(scores, scores + 0.3, seed=s) for s in (0, 0))
    assert one == two


def test_rank_p_value_counts_ties_as_reached():
    permuted = np.array([3.0, 1.0, 2.0, 2.0 + 1e-12])
    observed = np.array([2.0, 2.0 + 2e-12, 2.5, 4.0, 0.0, np.inf])
    np.testing.assert_allclose(rank_p_value(observed, permuted), np.array([4, 4, 2, 1, 5, 1]) / 5)


@pytest.mark.parametrize(
    ("kind", "n", "m", "welch_rate", "permutation_rate"),
    [
        pytest.param("skewed left", 10, 200, 0.1, 0.0115, marks=pytest.mark.slow),
        pytest.param("heavy tails", 30, 30, 0.01, 0.01, marks=pytest.mark.slow),
    ],
)
def test_false_positives_at_one_percent(kind, n, m, welch_rate, permutation_rate):
    rng = np.random.default_rng(3)
    rejections = []
    for _ in range(2000):
        x, y = (simulated.features(rng, (size, 1), kind)[:, 0] for size in (n, m))
        p = welch(x, y).p_value, permutation_p_value(x, y, permutations=299, seed=int(rng.integers(2**32)))
        rejections.append(np.array(p) <= 0.01)
    np.testing.assert_allclose(np.mean(rejections, axis=0), [welch_rate, permutation_rate], atol=0.002)


def test_numbers_of_splits_beyond_every_float_and_on_the_edge():
    for n, m in ((2, 2), (515, 515), (150, 6_500), (10**6, 10**6)):
        assert can_be_split(n, m, 0.2)
    for n, m in ((2, 2), (3, 5), (9, 10**6)):
        ways = math.comb(n + m, n)
        assert can_be_split(n, m, 1 / ways)
        assert not can_be_split(n, m, 1 / (1.001 * ways))


def test_permutations_that_just_suffice():
    for permutations in range(1, 400):
        check_permutations(1 / (permutations + 1), permutations)
    with pytest.raises(InputError, match="0.01; at least 99 are needed"):
        check_permutations(0.01, 98)
    assert enough_permutations(0.01, usual=199, most=999) == 199
    assert enough_permutations(0.001, usual=199, most=999) == 999
    with pytest.raises(InputError, match="999 permutations cannot give a p-value of 0.0001"):
        enough_permutations(1e-4, usual=199, most=999)


def test_too_few_samples_say_how_many_are_needed():
    assert fewest_permutable(0.01) == 5
    with pytest.raises(InputError, match=r"4 samples against 4 can be split in 70 ways .* 5 on each side"):
        check_permutable(4, 4, 0.01, 999)
    check_permutable(5, 5, 0.01, 999)
    check_permutable(2, 13, 0.01, 999)
    check_permutable(10_000, 10_000, 1e-6, 10**7)
    with pytest.raises(InputError, match="at least 99 are needed"):
        check_permutable(50, 50, 0.01, 98)
    with pytest.raises(InputError, match="1 are too few; at least 2 members and nonmembers for a variance"):
        welch(np.ones(1), np.arange(3.0))
