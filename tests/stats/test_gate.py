"""The blind gate: what it finds in pictures and labels, its level, its classifier against a slow one."""

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import Ridge

from jaxaudit.errors import InputError
from jaxaudit.stats import GATE_LEVEL, blind_gate
from jaxaudit.stats.gate import out_of_fold_scores
from tests.stats import simulated
from tests.stats.pictures import mirrored, mislabelled, pictures


def test_the_classifier_is_ridge_regression_fitted_on_the_other_folds():
    rng = np.random.default_rng(0)
    columns = np.c_[rng.standard_normal((60, 4)) * [1, 1, 10, 0.1] + 3, np.ones(60)]
    columns[:25] += 0.3
    scores, expected = out_of_fold_scores(columns, 25, seed=1), np.zeros(60)
    z = (columns - columns.mean(axis=0)) / np.where(columns.std(axis=0) > 0, columns.std(axis=0), 1)
    labels, rng = np.arange(60) < 25, np.random.default_rng(1)
    for _ in range(10):
        fold = np.concatenate([rng.permutation(25), rng.permutation(35)]) % 5
        for k in range(5):
            train, test = fold != k, fold == k
            model = Ridge(alpha=0.3 * train.sum()).fit(z[train], labels[train])
            expected[test] += (model.predict(z[test]) - labels[train].mean()) / 10
    np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_the_area_is_that_of_its_scores_and_no_seed_decides():
    rng = np.random.default_rng(1)
    p, u = rng.standard_normal((80, 5)) + 0.3, rng.standard_normal((90, 5))
    gates = [blind_gate(p, u, permutations=99, seed=seed) for seed in range(5)]
    assert np.ptp([gate.auc.estimate for gate in gates]) < 0.03
    assert gates[0].auc.low < gates[0].auc.estimate < gates[0].auc.high
    assert (gates[0].num_p, gates[0].num_u) == (80, 90)


def against(rng, kind, n=200):
    """P as it is and U altered, both of one distribution of pictures."""
    p, p_labels = pictures(rng, n)
    u, u_labels = pictures(rng, n, mix=[0.4, 0.3, 0.2, 0.1] if kind == "another mix of classes" else None)
    if kind == "label noise":
        u_labels = mislabelled(rng, u_labels, 0.2)
    if kind == "one label":
        u_labels = np.full(n, 3)
    if kind == "some mirrored":
        u = mirrored(rng, u, 0.4)
    return {"p_blind": p, "u_blind": u, "p_labels": p_labels, "u_labels": u_labels}


FOUND_BY = {
    "label noise": "typicality and labels",
    "one label": "mix of classes",
    "another mix of classes": "mix of classes",
    "some mirrored": "features within classes",
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", FOUND_BY)
def test_what_differs_is_found_and_named(kind):
    rng = np.random.default_rng(2)
    gates = [blind_gate(**against(rng, kind), permutations=199, seed=seed) for seed in range(6)]
    assert sum(not gate.passed for gate in gates) >= 5
    parts = [gate.p_values[FOUND_BY[kind]] for gate in gates]
    assert np.median(parts) <= 0.02


@pytest.mark.usefixtures("unchecked")
def test_without_labels_wrong_ones_cannot_be_seen():
    rng = np.random.default_rng(3)
    sets = against(rng, "one label") | {"p_labels": None, "u_labels": None}
    gate = blind_gate(**sets, permutations=199)
    assert "mix of classes" not in gate.p_values
    assert gate.passed


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("n", "m", "kind"), [(30, 30, "pictures"), (15, 60, "heavy tails")])
def test_alike_sets_fail_at_the_level(n, m, kind):
    rng, failed = np.random.default_rng(4), []
    for seed in range(200):
        if kind == "pictures":
            sets = against(rng, "nothing", n)
        else:
            p, u = (np.round(simulated.features(rng, (size, 6), kind), 1) for size in (n, m))
            sets = {"p_blind": p, "u_blind": u}
        failed.append(not blind_gate(**sets, permutations=99, seed=seed).passed)
    assert np.mean(failed) == pytest.approx(GATE_LEVEL, abs=2 * np.sqrt(0.1 * 0.9 / 200))


@pytest.mark.parametrize("kind", ["mean", "spread", "heavy tails"])
def test_visible_differences_are_found(kind):
    rng = np.random.default_rng(5)
    base = "heavy tails" if kind == "heavy tails" else "normal"
    for seed in range(3):
        p, u = (simulated.features(rng, (300, 20), base) for _ in range(2))
        p[:, :3] = p[:, :3] * 1.6 if kind == "spread" else p[:, :3] + 0.4
        assert not blind_gate(p, u, permutations=199, seed=seed).passed


def test_separable_sets_fail_beyond_doubt():
    rng = np.random.default_rng(6)
    gate = blind_gate(rng.standard_normal((30, 3)) + np.array([9, 0, 0]), rng.standard_normal((50, 3)))
    assert gate.auc.estimate > 0.95
    assert gate.p_value <= 0.002
    assert not gate.passed
    assert (gate.num_p, gate.num_u, gate.num_features) == (30, 50, 3)


def test_the_detectable_shift_is_found_in_most_cases():
    rng = np.random.default_rng(7)
    gate = blind_gate(rng.standard_normal((100, 3)), rng.standard_normal((100, 3)))
    least = special.ndtri([1 - GATE_LEVEL / 2, 0.8]).sum() * np.sqrt(2 / 100)  # of one feature alone
    assert least < gate.detectable_shift < 1.5 * least
    assert blind_gate(rng.standard_normal((400, 3)), rng.standard_normal((400, 3))).detectable_shift == (
        pytest.approx(gate.detectable_shift / 2, rel=0.1)
    )


def test_the_level_is_the_gates_own():
    rng = np.random.default_rng(8)
    p, u = rng.standard_normal((50, 3)) + 0.15, rng.standard_normal((50, 3))
    gates = [blind_gate(p, u, level=level) for level in (0.05, 0.5)]
    assert gates[0].p_value == gates[1].p_value
    assert [gate.passed for gate in gates] == [gate.p_value > gate.level for gate in gates]


def test_constant_columns_and_units_do_not_matter():
    rng = np.random.default_rng(9)
    p, u = rng.standard_normal((40, 3)) + 0.3, rng.standard_normal((40, 3))
    gate = blind_gate(p, u)
    assert blind_gate(np.c_[p, np.ones(40)], np.c_[u, np.ones(40)]) == gate
    assert blind_gate(np.exp(p) * 1e6, np.exp(u) * 1e6) == gate


def test_duplicated_rows_raise_no_alarm():
    rows = np.repeat(np.arange(3.0), 20)[:, None]
    gate = blind_gate(rows, rows, permutations=199)
    assert gate.passed
    assert gate.auc.high < 0.5  # what is left out of a fit, and nothing else, speaks against itself


def test_errors():
    x = np.random.default_rng(10).standard_normal((10, 2))
    labels = np.arange(10)
    with pytest.raises(InputError, match="Every blind feature is constant"):
        blind_gate(np.ones((10, 2)), np.ones((10, 2)), p_labels=labels, u_labels=labels % 2)
    with pytest.raises(InputError, match="3 samples against 3 can be split in 20 ways only"):
        blind_gate(x[:3], x[:3], level=0.01)
    with pytest.raises(InputError, match="at least 9 are needed"):
        blind_gate(x, x, permutations=5)
    with pytest.raises(InputError, match="'feature 0' in U are NaN"):
        blind_gate(x, np.full((10, 2), np.nan))
    with pytest.raises(InputError, match="Labels are given for one of P and U only"):
        blind_gate(x, x, p_labels=labels)
    with pytest.raises(InputError, match="level=1.5 is not between 0 and 1"):
        blind_gate(x, x, level=1.5)


@pytest.mark.usefixtures("unchecked")
def test_labels_that_do_not_fit_are_refused():
    x = np.random.default_rng(11).standard_normal((10, 2))
    with pytest.raises(InputError, match=r"Labels of shapes \(10,\) and \(9,\) do not fit 10 and 10 samples"):
        blind_gate(x, x, p_labels=np.arange(10), u_labels=np.arange(9))
