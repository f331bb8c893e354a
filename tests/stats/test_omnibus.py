"""The omnibus test: its parts by loops, its level, its power where P and U differ, and its direction."""

import numpy as np
import pytest
from scipy import stats

from jaxaudit.stats.omnibus import omnibus, omnibus_p_values
from jaxaudit.stats.relabelling import normal_scores, relabel


def judge(p, u, *, permutations=199, seed=0):
    labels = relabel(len(p), len(u), permutations, np.random.default_rng(seed))
    return omnibus(normal_scores(np.concatenate([p, u])), labels)


def test_parts_are_ranks_of_their_formulas_and_the_whole_of_their_harmonic_mean():
    rng = np.random.default_rng(0)
    columns = normal_scores(rng.standard_normal((25, 3)) + 0.5 * (np.arange(25) < 12)[:, None])
    labels = relabel(12, 13, 60, rng)
    inverse = np.linalg.inv(np.corrcoef(columns.T) + 0.1 * np.eye(3))
    statistics = []
    for t in labels.statistics(columns):
        positive, negative = ([max(sign * value, 0) ** 2 for value in t] for sign in (1, -1))
        statistics.append([sum(t), sum(positive), t @ inverse @ t, sum(negative)])
    p = np.array(
        [np.mean([other >= one - 1e-5 for other in row]) for row in np.transpose(statistics) for one in row]
    )
    p = p.reshape(4, -1)
    found = omnibus(columns, labels)
    parts = (found.rank_sum_p_value, found.positive_p_value, found.hotelling_p_value, found.opposite_p_value)
    np.testing.assert_allclose(parts, p[:, 0])
    means = stats.hmean(p[:3], axis=0)
    np.testing.assert_allclose(found.p_value, np.mean(means <= means[0] + 1e-9))
    np.testing.assert_allclose(omnibus_p_values(columns, labels)[0], found.p_value)


@pytest.mark.usefixtures("unchecked")
def test_the_level_is_kept_on_skewed_tied_and_dependent_scores():
    rng = np.random.default_rng(1)
    rejected = []
    for seed in range(300):
        common = rng.exponential(size=(70, 1))
        scores = np.round(common + 0.3 * rng.standard_t(2, (70, 4)), 1)
        rejected.append(judge(scores[:25], scores[25:], permutations=99, seed=seed).p_value <= 0.05)
    assert np.mean(rejected) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(rejected) >= 0.05 - 2 * np.sqrt(0.05 * 0.95 / 300)


def independent(rng, n):
    return rng.standard_normal((n, 18)), 0.15 * np.ones(18)


def correlated(rng, n):
    common = rng.standard_normal((n, 1))
    shift = np.zeros(18)
    shift[0] = 0.3
    return np.sqrt(0.9) * common + np.sqrt(0.1) * rng.standard_normal((n, 18)), shift


def sparse(rng, n):
    return rng.standard_normal((n, 18)), 0.55 * (np.arange(18) < 2)


def both_ways(rng, n):
    return rng.standard_normal((n, 18)), 0.2 * np.where(np.arange(18) < 9, 1, -1)


def rates(kind, repetitions=40):
    """Power at 5% of the test and of the sum of scores, and how often a found difference is contradicted."""
    rng = np.random.default_rng(2)
    found, summed, contradicted = [], [], []
    for seed in range(repetitions):
        scores, shift = kind(rng, 200)
        scores[:100] += shift
        one = judge(scores[:100], scores[100:], seed=seed)
        found.append(one.p_value <= 0.05)
        contradicted.append(one.contradicted)
        total = scores.sum(axis=1)
        summed.append(stats.ttest_ind(total[:100], total[100:], alternative="greater").pvalue <= 0.05)
    return np.mean(found), np.mean(summed), np.mean(np.array(contradicted)[found])


@pytest.mark.usefixtures("unchecked")
def test_small_differences_everywhere_are_found_as_by_their_sum():
    found, summed, contradicted = rates(independent)
    assert found >= 0.9 * summed
    assert summed > 0.9
    assert contradicted == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", [correlated, sparse])
def test_differences_in_few_scores_are_found_where_the_sum_is_blind(kind):
    found, summed, _ = rates(kind)
    assert found >= 0.9
    assert summed < 0.7


@pytest.mark.usefixtures("unchecked")
def test_half_up_and_half_down_is_a_difference_but_not_that_of_training():
    found, summed, contradicted = rates(both_ways)
    assert found >= 0.7
    assert summed < 0.1
    assert contradicted >= 0.8


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_swapped_sets_differ_as_much_and_are_contradicted(shift):
    rng = np.random.default_rng(3)
    members, others = rng.standard_normal((80, 6)) + shift, rng.standard_normal((80, 6))
    right, swapped = judge(members, others), judge(others, members)
    assert right.p_value == 0.005
    assert swapped.p_value <= 0.015  # of the three parts only the one without direction sees it
    assert not right.contradicted
    assert swapped.contradicted
    assert swapped.rank_sum_p_value == swapped.positive_p_value == 1
    assert swapped.opposite_p_value == right.positive_p_value
    assert swapped.hotelling_p_value == right.hotelling_p_value


@pytest.mark.parametrize("columns", [0, 1, 3])
def test_scores_that_do_not_vary_show_nothing(columns):
    found = judge(np.ones((12, columns)), np.ones((15, columns)))
    assert (found.p_value, found.opposite_p_value, found.contradicted) == (1, 1, False)


def test_one_score_alone_is_a_rank_test():
    rng = np.random.default_rng(4)
    p, u = rng.standard_normal((20, 1)) + 0.6, rng.standard_normal((30, 1))
    found = judge(p, u, permutations=9_999)
    expected = stats.mannwhitneyu(p[:, 0], u[:, 0], alternative="greater").pvalue
    assert found.rank_sum_p_value == pytest.approx(expected, rel=0.3)
