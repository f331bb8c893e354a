"""The blind gate: measured error rate and power, a slow oracle, and errors."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from jaxaudit.errors import InputError
from jaxaudit.stats import blind_gate
from jaxaudit.stats.gate import _aucs
from tests.stats import simulated


def test_each_relabelling_refits_the_classifier():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4))
    labels = np.stack([rng.permutation(np.arange(60) < 25) for _ in range(3)], axis=1).astype(float)
    folds = rng.permutation(60) % 5
    for column, area in zip(labels.T, _aucs(x, labels, folds), strict=True):
        scores = np.empty(60)
        for fold in range(5):
            train, test = folds != fold, folds == fold
            mean, std = x[train].mean(0), x[train].std(0)
            model = Ridge(alpha=0.1 * train.sum()).fit((x[train] - mean) / std, column[train])
            scores[test] = model.predict((x[test] - mean) / std) - model.intercept_
        assert area == pytest.approx(roc_auc_score(column, scores))


@pytest.mark.parametrize(
    ("kind", "n", "m", "rate"),
    [("skewed", 40, 40, 0.047), ("heavy tails", 15, 80, 0.045)],
)
def test_false_alarms_at_five_percent(kind, n, m, rate):
    rng = np.random.default_rng(11)
    failed = []
    for seed in range(1000):
        p, u = (np.round(simulated.features(rng, (size, 8), kind), 1) for size in (n, m))
        failed.append(not blind_gate(p, u, alpha=0.05, permutations=99, seed=seed).passed)
    assert np.mean(failed) == pytest.approx(rate, abs=0.003)


def shifted(rng, n, kind):
    """Features of which P's differ: in mean, in spread, or in mean under heavy tails."""
    x = simulated.features(rng, (n, 20), "heavy tails" if kind == "heavy tails" else "normal")
    if kind == "spread":
        x[:, :3] *= 1.5
    else:
        x[:, :3] += 0.4
    return x


@pytest.mark.parametrize("kind", ["mean", "spread", "heavy tails"])
def test_visible_differences_are_found(kind):
    rng = np.random.default_rng(2)
    found = 0
    for seed in range(20):
        base = "heavy tails" if kind == "heavy tails" else "normal"
        gate = blind_gate(
            shifted(rng, 300, kind), simulated.features(rng, (300, 20), base), permutations=199, seed=seed
        )
        found += not gate.passed
    assert found >= 18


def test_separable_sets_fail_beyond_doubt():
    rng = np.random.default_rng(3)
    gate = blind_gate(rng.standard_normal((30, 3)) + np.array([9, 0, 0]), rng.standard_normal((50, 3)))
    assert gate.auc > 0.99
    assert gate.p_value == 0.001
    assert not gate.passed
    assert gate.chance_auc.low < 0.5 < gate.chance_auc.high < 0.8
    assert (gate.num_p, gate.num_u, gate.num_features) == (30, 50, 3)


def test_constant_columns_units_and_row_order_do_not_matter():
    rng = np.random.default_rng(4)
    p, u = rng.standard_normal((40, 3)) + 0.3, rng.standard_normal((40, 3))
    gate = blind_gate(p, u)
    with_constant = blind_gate(np.c_[p, np.ones(40)], np.c_[u, np.ones(40)])
    assert with_constant == gate
    assert blind_gate(np.exp(p) * 1e6, np.exp(u) * 1e6) == gate
    assert blind_gate(rng.permutation(p), u).passed == gate.passed


def test_duplicated_rows_raise_no_alarm():
    rows = np.repeat(np.arange(3.0), 20)[:, None]
    alarms = [blind_gate(rows, rows, permutations=199, seed=seed).p_value for seed in range(60)]
    assert np.mean(np.array(alarms) <= 0.1) < 0.2


def test_many_samples_are_subsampled():
    rng = np.random.default_rng(5)
    gate = blind_gate(rng.standard_normal((2500, 2)), rng.standard_normal((100, 2)), permutations=99)
    assert (gate.num_p, gate.num_u) == (2000, 100)
    assert gate.passed


def test_normal_scores_are_what_the_classifier_sees():
    ranks = stats.rankdata([5.0, -2, 1e9, 5])
    np.testing.assert_allclose(special.ndtr(special.ndtri((ranks - 0.5) / 4)), [0.5, 0.125, 0.875, 0.5])


def test_errors():
    x = np.random.default_rng(6).standard_normal((10, 2))
    with pytest.raises(InputError, match="Every blind feature is constant"):
        blind_gate(np.ones((10, 2)), np.ones((10, 2)))
    with pytest.raises(InputError, match="4 samples against 4"):
        blind_gate(x[:4], x[:4])
    with pytest.raises(InputError, match="at least 99 are needed"):
        blind_gate(x, x, permutations=50)
    with pytest.raises(InputError, match="score 'mean' in U are NaN"):
        blind_gate(x, np.full((10, 2), np.nan), names=("mean", "std"))
