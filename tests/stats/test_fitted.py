"""Fitted scores: the optimum of their equation, samples they never saw, and no signal where there is none."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.stats import auc, fitted, fitted_scores, membership_inference
from jaxaudit.stats.membership import selection_split
from tests.stats.simulated import features


def data(seed=0, n=150, m=120, shift=0.5, num_features=6):
    rng = np.random.default_rng(seed)
    return features(rng, (n, num_features), shift=shift), features(rng, (m, num_features))


def test_the_fit_is_the_optimum():
    """The gradient of the equation, written out per sample, is zero."""
    x, y = data()
    weights = fitted._logistic(x, y)
    both = np.concatenate([x, y])
    z = (both - both.mean(0)) / both.std(0)
    sign = np.repeat([1.0, -1.0], [len(x), len(y)])
    standardised = weights * both.std(0)

    def slope(bias):
        pull = sign / (1 + np.exp(sign * (z @ standardised + bias)))
        return 0.1 * standardised - (pull[:, None] * z).mean(0), -pull.mean()

    low, high = -5.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle)[1] > 0 else (middle, high)
    np.testing.assert_allclose(slope(low)[0], 0, atol=1e-8)


def test_separable_features_and_constants_are_no_trouble():
    x, y = data(shift=30.0)
    x[:, 2] = y[:, 2] = 7.0
    weights = fitted._logistic(x, y)
    assert np.isfinite(weights).all()
    assert weights[2] == 0
    assert auc(x @ weights, y @ weights) == 1


def test_units_of_a_feature_do_not_matter():
    x, y = data()
    unit = np.array([1, 1e3, 1e-3, 1, -1, 1])
    for ours, other in zip(fitted_scores(x, y), fitted_scores(x * unit, y * unit), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-6)


def test_a_sample_is_scored_by_fits_that_never_saw_it():
    x, y = data()
    scores = fitted_scores(x, y, seed=3)
    (choose, rest), _ = selection_split(len(x), len(y), 3)
    changed = x.copy()
    changed[rest] += 5.0
    again = fitted_scores(changed, y, seed=3)
    np.testing.assert_array_equal(again[0][choose], scores[0][choose])
    np.testing.assert_array_equal(again[1], scores[1])

    changed = x.copy()
    changed[choose[0]] += 5.0
    moved = fitted_scores(changed, y, seed=3)[0] != scores[0]
    fold = choose[::5]  # left out of its own fit
    assert not moved[fold[1:]].any()
    assert moved[np.setdiff1d(np.arange(len(x)), fold)].all()


def test_signal_is_found():
    x, y = data(n=600, m=600, shift=0.0)
    x[:, 0] += 1.0
    x[:, 1] -= 1.0  # the mean of the features says nothing
    members, nonmembers = fitted_scores(x, y)
    result = membership_inference({"learned": members}, {"learned": nonmembers})
    assert result.per_score["learned"].auc.low > 0.85
    assert abs(auc(x.mean(1), y.mean(1)) - 0.5) < 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_without_signal_intervals_cover_chance_and_error_rates_hold():
    """90 samples a side, 24 features: on its own samples the fit would look good."""
    covered, tpr, out_of_fold, own = [], [], [], []
    for seed in range(300):
        x, y = data(seed + 1000, n=90, m=90, shift=0.0, num_features=24)
        members, nonmembers = fitted_scores(x, y, seed=seed)
        result = membership_inference({"f": members}, {"f": nonmembers}, seed=seed, fprs=(0.1,))
        metrics = result.per_score["f"]
        covered.append(metrics.auc.low <= 0.5 <= metrics.auc.high)
        tpr.append(metrics.tpr_at_fpr[0.1].estimate)
        (choose, _), (choose_nonmembers, _) = selection_split(90, 90, seed)
        out_of_fold.append(auc(members[choose], nonmembers[choose_nonmembers]))
        weights = fitted._logistic(x[choose], y[choose_nonmembers])
        own.append(auc(x[choose] @ weights, y[choose_nonmembers] @ weights))
    assert np.mean(covered) > 0.92
    # 6 false positives among 60 are allowed: an uninformative member is above the 7th with probability 7/61
    assert abs(np.mean(tpr) - 7 / 61) < 4 * np.std(tpr) / np.sqrt(len(tpr))
    assert np.mean(out_of_fold) < 0.51
    assert np.mean(own) > 0.75


@pytest.mark.usefixtures("unchecked")
def test_unusable_features():
    x, y = data()
    with pytest.raises(InputError, match=r"shapes \(150, 6\) and \(120, 5\)"):
        fitted_scores(x, y[:, :5])
    with pytest.raises(InputError, match="too few; at least 4 members"):
        fitted_scores(x[:3], y)
    x[4, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinite for 1 of 150 samples"):
        fitted_scores(x, y)


def mixed(seed=0, n=150, m=120, shift=(0.5, 0.5), units=(1.0, 1.0)):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, 2)) + shift) * units, rng.standard_normal((m, 2)) * units


def test_a_mixture_weighs_two_features_by_their_quartiles():
    x, y = mixed(units=(7.0, 0.01))
    weights = fitted._mixture(x, y)
    low, high = np.quantile(y, [0.25, 0.75], axis=0)
    share = weights * (high - low)
    np.testing.assert_allclose(share.sum(), 1)
    np.testing.assert_allclose(share[0] * 20, np.rint(share[0] * 20), atol=1e-9)

    def told(alpha):
        return auc(*(side @ (np.array([alpha, 1 - alpha]) / (high - low)) for side in (x, y)))

    assert told(share[0]) == max(told(alpha) for alpha in np.linspace(0, 1, 21))


def test_a_mixture_keeps_to_what_tells():
    x, y = mixed(n=2_000, m=2_000, shift=(1.5, 0.0))
    assert fitted._mixture(x, y)[0] > 4 * fitted._mixture(x, y)[1]
    x[:, 1] = y[:, 1] = 3.0
    assert fitted._mixture(x, y)[1] == 0
    assert auc(*fitted_scores(x, y, fit="mixture")) > 0.8


def test_a_mixture_takes_features_as_they_are():
    """Higher = member: one that points the other way is not turned round."""
    members, nonmembers = fitted_scores(*mixed(n=600, m=600, shift=(-1.0, -1.0)), fit="mixture")
    assert auc(members, nonmembers) < 0.4


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_a_mixture_of_nothing_tells_nothing():
    """90 samples a side: outside the selection third intervals cover chance, and errors hold."""
    covered, tpr = [], []
    for seed in range(1_000):
        members, nonmembers = fitted_scores(
            *mixed(seed, n=90, m=90, shift=(0.0, 0.0)), fit="mixture", seed=seed
        )
        result = membership_inference({"f": members}, {"f": nonmembers}, seed=seed, fprs=(0.1,))
        metrics = result.per_score["f"]
        covered.append(metrics.auc.low <= 0.5 <= metrics.auc.high)
        tpr.append(metrics.tpr_at_fpr[0.1].estimate)
    assert np.mean(covered) > 0.93
    assert abs(np.mean(tpr) - 7 / 61) < 4 * np.std(tpr) / np.sqrt(len(tpr))
