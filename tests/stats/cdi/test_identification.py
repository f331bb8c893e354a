"""CDI: recorded published results, slow versions of the procedures, error rates under the null, errors."""

import itertools
import math
import sys

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from jaxaudit.errors import InputError
from jaxaudit.protocols import PERMUTATION, PROCEDURES, PUBLISHED_FOLDS, SPLIT
from jaxaudit.results import encode
from jaxaudit.stats import (
    auc_interval,
    false_positive_rate,
    identify,
    permutation_p_value,
    shapley_values,
    welch,
)
from jaxaudit.stats.cdi import draws, scorer
from tests.golden import weights
from tests.stats import simulated

_, IO = weights.load("dataset_inference")


def sets(seed, n=40, m=60, features=5, kind="normal", shift=0.6):
    rng = np.random.default_rng(seed)
    return simulated.features(rng, (n, features), kind, shift), simulated.features(rng, (m, features), kind)


@pytest.mark.parametrize("n", IO["n_values_cdi"])
def test_published_procedure_number_for_number(n):
    pool, _ = scorer.make_pool(np.concatenate([IO["members"], IO["nonmembers"]]).astype(np.float64))
    rows, order = IO[f"cdi_idx_n{n}"], IO[f"cdi_test_order_n{n}"]
    held_out = scorer.published_scores(pool, rows, rows + len(IO["members"]))
    for scores, side in ((held_out.p, "members"), (held_out.u, "nonmembers")):
        np.testing.assert_allclose(scores[:, order], IO[f"cdi_tight_scores_{side}_n{n}"], atol=1e-6)
        np.testing.assert_allclose(scores[:, order], IO[f"cdi_scores_{side}_n{n}"], atol=2e-3)
    for r, index in enumerate(rows):
        result = identify(IO["members"][index], IO["nonmembers"][index], procedure=PUBLISHED_FOLDS)
        np.testing.assert_allclose(result.p_value, IO[f"cdi_p_two_sided_n{n}"][r], rtol=1e-3)
        np.testing.assert_allclose(result.welch.p_value, IO[f"cdi_p_greater_n{n}"][r], rtol=1e-3)
        assert (result.welch.t > 0) == IO[f"cdi_is_correct_order_n{n}"][r]
        assert result.rejected == (result.p_value <= 0.01 and result.welch.t > 0)
        assert "not calibrated" in result.notes[0]
        assert result.seed is None


def house_scores(train, is_p, test):
    """The scorer by scikit-learn: ridge a tenth of the samples, even odds."""
    ridge = 0.1 * len(train)
    scaler = StandardScaler().fit(train)
    fit = LogisticRegression(
        C=1 / ridge, solver="liblinear", intercept_scaling=ridge**0.5, tol=1e-12, max_iter=100_000
    ).fit(scaler.transform(train), is_p)
    odds = np.log(is_p.sum() / (~is_p).sum())
    return 1 / (1 + np.exp(odds - fit.decision_function(scaler.transform(test))))


def test_split_is_fitted_on_one_half_and_tested_on_the_other():
    p, u = sets(0, n=41, m=60, kind="skewed")
    result = identify(p, u, seed=7)
    rng = np.random.default_rng(7)
    p, u = p[rng.permutation(41)], u[rng.permutation(60)]
    control = np.concatenate([p[:21], u[:30]])
    scores = [house_scores(control, np.arange(51) < 21, side) for side in (p[21:], u[30:])]
    test = welch(*scores)
    assert result.welch.t == pytest.approx(test.t, rel=1e-5)
    assert result.auc == auc_interval(*scores)
    permuted = permutation_p_value(*scores, seed=int(rng.integers(2**63)))
    assert result.permutation_p_value == permuted
    assert result.p_value == pytest.approx(max(test.p_value, permuted), rel=1e-4)
    sizes = (result.num_p, result.num_u, result.num_control_p, result.num_control_u)
    assert sizes == (41, 60, 21, 30)
    assert (result.num_test_p, result.num_test_u, result.notes) == (20, 30, ())
    assert result.names == tuple(f"feature_{j}" for j in range(5))


def test_permutation_refits_for_every_relabelling():
    p, u = sets(1, n=14, m=20)
    result = identify(p, u, procedure=PERMUTATION, permutations=99, seed=3)
    x, is_p = np.concatenate([p, u]), np.arange(34) < 14
    rng = np.random.default_rng(3)
    fold = rng.permutation(34) % 5
    relabelled = rng.permuted(np.tile(is_p, (99, 1)), axis=1)

    def statistic(labels):
        scores = np.empty(34)
        for k in range(5):
            train = fold != k
            scores[~train] = house_scores(x[train], labels[train], x[~train])
        return scipy_stats.ttest_ind(scores[labels], scores[~labels], equal_var=False).statistic

    observed = statistic(is_p)
    assert result.welch.t == pytest.approx(observed, rel=1e-5)
    reached = sum(statistic(labels) >= observed for labels in relabelled)
    assert result.p_value == (reached + 1) / 100
    assert (result.num_test_p, result.num_test_u) == (14, 20)


def test_draws_are_the_tests_of_identify():
    p, u = sets(2, n=30, m=30)
    pool, _ = scorer.make_pool(np.concatenate([p, u]))
    orders = [np.random.default_rng(seed) for seed in range(4)]
    rows = [(rng.permutation(30), 30 + rng.permutation(30)) for rng in orders]
    p_rows, u_rows = (np.stack(side) for side in zip(*rows, strict=True))
    p_values, t = draws.draw_p_values(pool, p_rows, u_rows)
    for seed in range(4):
        one = identify(p, u, seed=seed)
        assert t[seed] == pytest.approx(one.welch.t, rel=1e-6)
        assert p_values[seed] == pytest.approx(one.welch.p_value, rel=1e-5)
    # Unequal sizes: the permutation p-value joins in.
    p_values, t = draws.draw_p_values(pool, p_rows[:, :12], u_rows)
    held_out = scorer.split_scores(pool, p_rows[:, :12], u_rows)
    for r in range(4):
        exact = permutation_p_value(held_out.p[r], held_out.u[r], permutations=20_000)
        expected = max(welch(held_out.p[r], held_out.u[r]).p_value, exact)
        assert p_values[r] == pytest.approx(expected, abs=0.03)
    paper, _ = draws.draw_p_values(
        pool, p_rows[:1] * 0 + np.arange(30), 30 + np.arange(30)[None], procedure=PUBLISHED_FOLDS
    )
    assert paper[0] == pytest.approx(identify(p, u, procedure=PUBLISHED_FOLDS).p_value, rel=1e-6)


def test_blocks_of_draws_change_nothing(monkeypatch):
    p, u = sets(3, n=40, m=50)
    pool, _ = scorer.make_pool(np.concatenate([p, u]))
    rng = np.random.default_rng(0)
    rows = draws.draw_rows(40, 20, 30, rng), 40 + draws.draw_rows(50, 30, 30, rng)
    whole = draws.draw_p_values(pool, *rows)
    monkeypatch.setattr("jaxaudit.stats.cdi.draws._CHUNK", 1)
    monkeypatch.setattr("jaxaudit.stats.cdi.draws._PERMUTED", 1)
    monkeypatch.setattr("jaxaudit.stats.cdi.draws._RELABELLED", 100)
    np.testing.assert_allclose(whole, draws.draw_p_values(pool, *rows), atol=1e-7)
    many = identify(p, u, procedure=PERMUTATION, permutations=50, alpha=0.05)
    monkeypatch.setattr("jaxaudit.stats.cdi.scorer._REFITS", 1)
    assert identify(p, u, procedure=PERMUTATION, permutations=50, alpha=0.05).p_value == many.p_value


def test_simulations_take_the_relabellings_that_alpha_needs(monkeypatch):
    """With 199 the smallest p-value is 0.005: no accusation would have been no news."""
    asked = []

    def refitted(pools, num_p, permutations, rng):
        asked.append(permutations)
        return np.full(len(pools), 1 / (permutations + 1)), np.ones(len(pools))

    monkeypatch.setattr("jaxaudit.stats.cdi.null._refitted", refitted)
    for alpha in (0.01, 0.001):
        assert false_positive_rate(PERMUTATION, alpha=alpha, repetitions=2).accused.estimate == 1
    assert asked == [199, 999]
    for request, reason in (
        ({"alpha": 0.01, "permutations": 49}, "49 permutations cannot give"),
        ({"alpha": 5e-4}, "999 permutations cannot give"),
        ({"num_p": 4, "num_u": 4}, "4 samples against 4 can be split in 70 ways only"),
    ):
        with pytest.raises(InputError, match=reason):
            false_positive_rate(PERMUTATION, **request)
    with pytest.raises(InputError, match="7 samples of P and 9 of U are too few"):
        false_positive_rate(SPLIT, num_p=7, num_u=9)


# Accusations of 2,000 simulated data sets with 26 features in which there is nothing to find.
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "n", "m"),
    [
        ("normal", 50, 50),
        ("skewed", 50, 50),
        ("heavy_tails", 50, 50),
        ("skewed", 20, 150),
        ("skewed", 150, 20),
    ],
)
def test_split_accuses_at_most_alpha(kind, n, m):
    result = false_positive_rate(SPLIT, kind=kind, num_p=n, num_u=m, repetitions=2_000)
    assert result.accused.estimate <= 0.015
    assert result.accused.high > 0.004  # nor is it silent
    assert result.small_p == result.accused
    assert result.mean_p == pytest.approx(0.5, abs=0.025)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("kind", "n", "m"), [("normal", 12, 12), ("skewed", 7, 15)])
def test_permutation_accuses_at_most_alpha(kind, n, m):
    result = false_positive_rate(
        PERMUTATION, kind=kind, num_p=n, num_u=m, num_features=6, repetitions=1_000, permutations=99
    )
    assert result.accused.low <= 0.01  # binomial: the rate is alpha exactly
    assert result.accused.estimate <= 0.015
    assert result.mean_p == pytest.approx(0.505, abs=0.03)


@pytest.mark.slow
def test_permutation_is_calibrated_with_26_features():
    result = false_positive_rate(PERMUTATION, num_p=12, num_u=12, alpha=0.1, repetitions=200, permutations=19)
    assert result.accused.low <= 0.1 <= result.accused.high
    assert result.accused.estimate <= 0.15


@pytest.mark.usefixtures("unchecked")
def test_the_published_procedure_accuses_too_often():
    result = false_positive_rate(PUBLISHED_FOLDS, num_p=100, num_u=100, repetitions=1_000)
    assert result.accused.low > 0.01
    assert result.small_p.low > 0.03
    assert result.mean_p < 0.45


def test_all_procedures_find_a_signal_and_the_permutation_the_most():
    found = {SPLIT: 0, PERMUTATION: 0}
    for seed in range(20):
        p, u = sets(100 + seed, n=30, m=30, shift=0.8)
        for procedure in found:
            found[procedure] += identify(p, u, procedure=procedure, permutations=99, seed=seed).rejected
    assert found[PERMUTATION] > found[SPLIT] > 2
    p, u = sets(5, n=150, m=150, shift=1.0)
    for procedure in PROCEDURES.values():
        assert identify(p, u, procedure=procedure, permutations=99).rejected


def test_the_direction_and_units_of_a_feature_do_not_matter():
    p, u = sets(6)
    units, offset = np.array([1, -1, 1e6, -1e-6, 3]), np.array([0, 5, 1e7, 0, -2])
    for procedure in (SPLIT, PERMUTATION):
        one = identify(p, u, procedure=procedure, permutations=199)
        other = identify(p * units + offset, u * units + offset, procedure=procedure, permutations=199)
        assert other.p_value == pytest.approx(one.p_value, abs=1e-6)
        assert other.welch.t == pytest.approx(one.welch.t, rel=1e-5)
        for a, b in zip(one.attributions, other.attributions, strict=True):
            assert a.name == b.name
            assert a.contribution == pytest.approx(b.contribution, rel=1e-4, abs=1e-7)


def test_several_splits_are_combined():
    p, u = sets(7)
    result = identify(p, u, splits=5, combination="twice_median", permutations=999)
    assert len(result.p_values) == 5
    assert result.p_values[0] == identify(p, u, permutations=999).p_value
    assert result.p_value == min(1, 2 * np.median(result.p_values))
    shown = max(result.welch.p_value, result.permutation_p_value)
    assert shown == np.median(result.p_values)
    assert result.combination == "twice_median"
    encode(result)


@pytest.mark.parametrize("procedure", [SPLIT, PERMUTATION], ids=lambda procedure: procedure.name)
def test_attributions_are_those_of_the_scorers_and_add_up(procedure):
    rng = np.random.default_rng(8)
    p, u = rng.standard_normal((100, 4)), rng.standard_normal((120, 4))
    p[:, 1] += 1.0
    p[:, 3] -= 0.6
    values = shapley_values(p, u, procedure=procedure, seed=2)
    result = identify(p, u, procedure=procedure, permutations=99, seed=2)
    assert values.attributions() == result.attributions
    assert [a.name for a in result.attributions[:2]] == ["feature_1", "feature_3"]
    assert [np.sign(a.mean_difference) for a in result.attributions[:2]] == [1, -1]
    assert result.attributions[1].contribution > 0.1
    assert (len(values.p), len(values.u)) == (result.num_test_p, result.num_test_u)
    assert sum(a.contribution for a in result.attributions) == pytest.approx(
        values.p.sum(axis=1).mean() - values.u.sum(axis=1).mean()
    )


def test_shapley_values_are_the_mean_gain_over_all_subsets_of_features():
    p, u = sets(8, features=4)
    values = shapley_values(p, u)
    background = np.concatenate([values.p_features, values.u_features])
    w = values.p[0] / (values.p_features[0] - background.mean(axis=0))
    sample = values.p_features[3]
    for j in range(4):
        expected = 0.0
        for others in itertools.chain.from_iterable(
            itertools.combinations([i for i in range(4) if i != j], size) for size in range(4)
        ):
            without, present = background.copy(), list(others)
            without[:, present] = sample[present]
            joined = without.copy()
            joined[:, j] = sample[j]
            expected += ((joined - without) @ w).mean() / (4 * math.comb(3, len(others)))
        assert values.p[3, j] == pytest.approx(expected, abs=1e-9)


def test_the_shap_package_is_asked_for_only_when_used(monkeypatch):
    p, u = sets(9)
    values = shapley_values(p, u)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(InputError, match=r"package shap is not installed; pip install 'jaxaudit\[shap\]'"):
        values.explanation()

    class Shap:
        Explanation = staticmethod(dict)

    monkeypatch.setitem(sys.modules, "shap", Shap)
    explanation = values.explanation()
    assert explanation["values"].shape == explanation["data"].shape == (50, 5)
    assert explanation["feature_names"] == list(values.names)
    np.testing.assert_array_equal(explanation["values"][:20], values.p)


def test_named_features_and_their_errors():
    p, u = sets(10)
    names = ("denoising_loss", "secmi", "pia", "pian", "noise_opt_norm")
    named = [dict(zip(names, side.T, strict=True)) for side in (p, u)]
    assert identify(*named).p_value == identify(p, u).p_value
    assert identify(*named).names == names
    reordered = dict(reversed(named[1].items()))
    assert identify(named[0], reordered).p_value == identify(p, u).p_value
    bad = {**named[0], "pia": np.where(np.arange(40) == 4, np.nan, named[0]["pia"])}
    with pytest.raises(
        InputError, match=r"score 'pia' in P are NaN or infinite for 1 of 40 samples \(indexes 4\)"
    ):
        identify(bad, named[1])
    constant = [{**side, "secmi": np.zeros(len(side["secmi"]))} for side in named]
    with pytest.raises(InputError, match="Score 'secmi' is 0 for all 100 samples"):
        identify(*constant)
    with pytest.raises(InputError, match="Features 'pian' are known for one of P and U only"):
        identify({name: named[0][name] for name in names if name != "pian"}, named[1])
    with pytest.raises(InputError, match="must both be"):
        identify(named[0], u)
    with pytest.raises(InputError, match=r"features of P have shapes \[\(39,\), \(40,\)\]"):
        identify({**named[0], "pia": p[1:, 2]}, named[1])


@pytest.mark.parametrize(("n", "m"), [(2_000, 2_000), (300, 13_000)])
def test_large_sets_are_tested(n, m):
    rng = np.random.default_rng(12)
    p, u = rng.normal(0.5, 1, (n, 1)), rng.normal(size=(m, 1))
    assert identify(p, u, permutations=99).rejected


def test_impossible_requests_are_refused():
    p, u = sets(11)
    with pytest.raises(InputError, match="7 samples of P and 9 of U are too few .*; 10 of each are enough"):
        identify(p[:7], u[:9])
    assert identify(p[:10], u[:10]).num_test_p == 5
    with pytest.raises(InputError, match="4 samples against 4 can be split in 70 ways only"):
        identify(p[:4], u[:4], procedure=PERMUTATION)
    with pytest.raises(InputError, match="50 permutations cannot give a p-value of 0.01"):
        identify(p, u, procedure=PERMUTATION, permutations=50)
    with pytest.raises(InputError, match="as many samples of P as of U; got 40 and 60"):
        identify(p, u, procedure=PUBLISHED_FOLDS)
    with pytest.raises(InputError, match="4 are too few; at least 5 samples of each"):
        identify(p[:4], u[:4], procedure=PUBLISHED_FOLDS)
    with pytest.raises(InputError, match="splits=3 is for the procedure 'split'"):
        identify(p, u, procedure=PERMUTATION, splits=3)
    with pytest.raises(InputError, match="Unknown rule"):
        identify(p, u, combination="average")
    with pytest.raises(InputError, match="alpha=2 is not between"):
        identify(p, u, alpha=2)
    with pytest.raises(InputError, match="Unknown distribution 'skew'; did you mean skewed"):
        false_positive_rate(SPLIT, kind="skew")


@pytest.mark.parametrize("procedure", ["split", "permutation"])
def test_features_that_hardly_ever_vary_accuse_nobody(procedure):
    """A scorer that never saw a feature vary gives every sample the same score."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        p, u = ((rng.random((20, 1)) < 0.05).astype(float) for _ in range(2))
        if np.ptp(np.concatenate([p, u])):
            assert identify(p, u, procedure=procedure, permutations=99).p_value > 0.01
