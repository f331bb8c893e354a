"""The ROC curve against slow loops, the recorded exact values, and its invariances."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jaxaudit.errors import InputError
from jaxaudit.stats import auc, best_threshold, roc_curve, tpr_at_fpr
from tests.golden import weights


def slow_tpr_at_fpr(members, nonmembers, fpr):
    best = 0.0
    for threshold in [*members, *nonmembers, np.inf, -np.inf]:
        false_positives = sum(y > threshold for y in nonmembers)
        if false_positives / len(nonmembers) <= fpr:
            best = max(best, sum(x > threshold for x in members) / len(members))
    return best


def slow_auc(members, nonmembers):
    wins = sum(float(x > y) + 0.5 * float(x == y) for x in members for y in nonmembers)
    return wins / (len(members) * len(nonmembers))


def tied(seed, n=37, m=23):
    rng = np.random.default_rng(seed)
    return np.round(rng.standard_normal(n) + 0.7, 1), np.round(rng.standard_normal(m), 1)


@pytest.mark.parametrize("seed", range(5))
def test_tpr_and_auc_equal_loops_over_all_pairs(seed):
    members, nonmembers = tied(seed)
    for fpr in (0.0, 0.01, 1 / 23, 0.1, 0.5, 0.999, 1.0):
        assert tpr_at_fpr(members, nonmembers, fpr=fpr) == pytest.approx(
            slow_tpr_at_fpr(members, nonmembers, fpr)
        )
    assert auc(members, nonmembers) == pytest.approx(slow_auc(members, nonmembers))


def test_recorded_exact_values():
    config, io = weights.load("mia_metrics")
    for one in config["score_sets"]:
        sign = -1 if one["members_lower"] else 1
        members = sign * io[f"s{one['index']:02d}_members"]
        nonmembers = sign * io[f"s{one['index']:02d}_nonmembers"]
        exact = [tpr_at_fpr(members, nonmembers, fpr=fpr) for fpr in io["fpr_thresholds"]]
        np.testing.assert_allclose(exact, io["raw_tpr_exact"][one["index"]], atol=1e-12)
        np.testing.assert_allclose(auc(members, nonmembers), io["raw_auc"][one["index"]], atol=1e-12)


@pytest.mark.parametrize("m", [100, 700, 1000])
def test_the_allowed_false_positives_survive_rounding(m):
    nonmembers = np.arange(m, dtype=float)
    for percent in range(101):
        k = percent * m // 100
        members = np.array([m - k - 0.5, m - k - 1.5])  # just above and just below the (k+1)-th largest
        expected = 1.0 if percent == 100 else 0.5
        assert tpr_at_fpr(members, nonmembers, fpr=percent / 100) == expected


def test_ranks_alone_matter():
    members, nonmembers = tied(9)
    rng = np.random.default_rng(0)
    for transform in (lambda s: 3 * s - 7, np.exp, lambda s: s**3):
        x, y = rng.permutation(transform(members)), rng.permutation(transform(nonmembers))
        assert tpr_at_fpr(x, y, fpr=0.1) == tpr_at_fpr(members, nonmembers, fpr=0.1)
        assert auc(x, y) == auc(members, nonmembers)
        assert roc_curve(x, y) == roc_curve(members, nonmembers)
    assert auc(-nonmembers, -members) == pytest.approx(auc(members, nonmembers))


def test_curve_is_the_tpr_at_each_of_its_fprs():
    members, nonmembers = tied(3, 400, 300)
    curve = roc_curve(members, nonmembers, max_points=50)
    assert curve.fpr[0] == 0
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)
    assert 30 < len(curve.fpr) <= 51
    assert list(curve.tpr) == [tpr_at_fpr(members, nonmembers, fpr=fpr) for fpr in curve.fpr]
    everything = roc_curve(members, nonmembers, max_points=10_000)
    np.testing.assert_allclose(everything.fpr, np.arange(301) / 300)


def test_auc_agrees_with_scikit_learn():
    members, nonmembers = tied(5, 200, 300)
    labels = np.r_[np.ones(200), np.zeros(300)]
    assert auc(members, nonmembers) == pytest.approx(roc_auc_score(labels, np.r_[members, nonmembers]))


@pytest.mark.parametrize("seed", range(3))
def test_best_threshold_has_the_best_balanced_accuracy(seed):
    members, nonmembers = tied(seed)

    def balanced(threshold):
        return (np.mean(members > threshold) + np.mean(nonmembers <= threshold)) / 2

    best = max(balanced(threshold) for threshold in [*members, *nonmembers])
    assert balanced(best_threshold(members, nonmembers)) == best


def test_constant_scores_are_chance():
    same = np.full(10, 1.5)
    assert auc(same, same) == 0.5
    assert tpr_at_fpr(same, same, fpr=0.5) == 0
    assert tpr_at_fpr(same, same, fpr=1.0) == 1


@pytest.mark.parametrize("function", [tpr_at_fpr, auc, roc_curve, best_threshold])
@pytest.mark.usefixtures("unchecked")
def test_bad_scores_are_named(function):
    good = np.arange(5.0)
    bad = np.array([0, np.nan, 1, np.inf, 2])
    with pytest.raises(
        InputError, match=r"Nonmembers' scores are NaN or infinite for 2 of 5 .*indexes 1, 3\)"
    ):
        function(good, bad)
    with pytest.raises(InputError, match=r"Members' scores have shape \(0,\)"):
        function(good[:0], good)
    with pytest.raises(InputError, match=r"shape \(1, 5\)"):
        function(good[None], good)


@pytest.mark.usefixtures("unchecked")
def test_an_fpr_out_of_range_is_named():
    with pytest.raises(InputError, match=r"1\.5 is not in \[0, 1\]"):
        tpr_at_fpr(np.arange(3), np.arange(3), fpr=1.5)
