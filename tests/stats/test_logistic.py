"""Batched logistic regression against scikit-learn, the stationarity of its objective, and hard cases."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from jaxaudit.stats.logistic import fit_logistic
from tests.stats import simulated

FOLDS = 3


def with_one(x):
    return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)


def problem(rng, *, n=30, m=20, shift=0.5, kind="normal"):
    p, u = simulated.features(rng, (2, n, 6), kind, shift), simulated.features(rng, (2, m, 6), kind)
    x = np.concatenate([p, u], axis=1) * [1, 3, 0.3, 1, 1, 2] + 0.5
    is_p = np.stack([np.arange(n + m) < n, rng.permutation(n + m) < n])
    return x, np.broadcast_to(is_p, (2, *is_p.shape)), rng.permutation(n + m) % FOLDS


@pytest.mark.parametrize("kind", ["normal", "heavy tails"])
@pytest.mark.parametrize(("shift", "ridge"), [(0.3, 1.0), (0.3, 20.0), (6.0, 1.0)])
def test_every_fit_is_that_of_liblinear_on_standardised_features(kind, shift, ridge):
    x, is_p, fold = problem(np.random.default_rng(0), shift=shift, kind=kind)
    _, logits = fit_logistic(with_one(x), is_p, fold, np.full(FOLDS, ridge))
    for r in range(2):
        for labelling in range(2):
            for k in range(FOLDS):
                train = fold != k
                scaler = StandardScaler().fit(x[r][train])
                # liblinear penalises the intercept as a weight of the feature `intercept_scaling`.
                expected = LogisticRegression(
                    C=1 / ridge, solver="liblinear", intercept_scaling=ridge**0.5, tol=1e-12, max_iter=100_000
                ).fit(scaler.transform(x[r][train]), is_p[r, labelling][train])
                np.testing.assert_allclose(
                    logits[r, labelling, k],
                    expected.decision_function(scaler.transform(x[r])),
                    rtol=1e-5,
                    atol=1e-5,
                )


def test_the_gradient_vanishes():
    x, is_p, fold = problem(np.random.default_rng(1))
    v, logits = fit_logistic(with_one(x), is_p, fold, np.full(FOLDS, 2.0))
    np.testing.assert_allclose(np.einsum("rnd,rlkd->rlkn", with_one(x), v), logits, atol=1e-10)
    for k in range(FOLDS):
        train = fold != k
        mean, spread = x[:, train].mean(axis=1), x[:, train].std(axis=1)
        z = with_one((x[:, train] - mean[:, None]) / spread[:, None])
        w = v[:, :, k, :-1] * spread[:, None]
        b = v[:, :, k, -1] + np.einsum("rd,rld->rl", mean, v[:, :, k, :-1])
        residual = 1 / (1 + np.exp(-logits[:, :, k][..., train])) - is_p[..., train]
        gradient = np.einsum("rln,rnd->rld", residual, z)
        np.testing.assert_allclose(gradient, -np.concatenate([2.0 * w, b[..., None]], axis=-1), atol=1e-6)


def test_without_folds_all_samples_train():
    x, is_p, _ = problem(np.random.default_rng(2))
    nobody = np.full(x.shape[1], -1)
    _, together = fit_logistic(with_one(x), is_p, nobody, np.ones(1))
    for r in range(2):
        z = StandardScaler().fit_transform(x[r])
        one = LogisticRegression(solver="liblinear", tol=1e-12, max_iter=100_000).fit(z, is_p[r, 1])
        np.testing.assert_allclose(together[r, 1, 0], one.decision_function(z), atol=1e-5)


def test_hard_cases_converge():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 12, 20))
    x[..., 5] = 1.0  # constant
    x[..., 6] = x[..., 7]  # collinear
    x[0, 0, 8] = 1e4  # an outlier
    x[0, :6, 0] += 100  # separated by far
    is_p = np.stack([np.arange(12) < 6, np.ones(12, bool)])[None]  # the second labelling knows one side only
    v, logits = fit_logistic(with_one(x), is_p, np.arange(12) % 4, np.full(4, 0.01))
    assert np.all(np.isfinite(logits))
    assert np.all(v[..., 5] == pytest.approx(0, abs=1e-6))
    np.testing.assert_allclose(v[..., 6], v[..., 7], atol=1e-9)
    assert np.all(logits[0, 1] > 0)


def test_blocks_of_memory_change_nothing(monkeypatch):
    x, is_p, fold = problem(np.random.default_rng(4), shift=4.0)
    whole = fit_logistic(with_one(x), is_p, fold, np.ones(FOLDS))
    monkeypatch.setattr("jaxaudit.stats.logistic._CHUNK", 1)
    for a, b in zip(whole, fit_logistic(with_one(x), is_p, fold, np.ones(FOLDS)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_no_convergence_is_an_error(monkeypatch):
    x, is_p, fold = problem(np.random.default_rng(5))
    monkeypatch.setattr("jaxaudit.stats.logistic._STEPS", 1)
    with pytest.raises(ValueError, match="has not converged in 1 steps"):
        fit_logistic(with_one(x), is_p, fold, np.ones(FOLDS))
