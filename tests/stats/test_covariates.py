"""What a picture is and what it is labelled: against slow definitions, and what adjusting leaves."""

import numpy as np
import pytest
from scipy import special

from jaxaudit.stats import covariates as module
from jaxaudit.stats.covariates import adjusted, covariates
from jaxaudit.stats.set_test import compare_sets, set_test

N, K = 40, 5


@pytest.fixture
def data():
    """Features of unit spread and three classes, one of a single sample."""
    rng = np.random.default_rng(0)
    classes = np.r_[0, 2, rng.choice([0, 2], N - 3), 1]
    z = rng.standard_normal((N, K)) + classes[:, None]
    return (z - z.mean(axis=0)) / z.std(axis=0), classes


def densities_by_refitting(z, classes):
    """own, mixture and ease of (3), everything but the level of the covariance fitted without the sample."""
    count = classes.max() + 1

    def centred(z, classes):
        return np.concatenate([z[classes == c] - z[classes == c].mean(axis=0) for c in np.unique(classes)])

    level = np.trace(centred(z, classes).T @ centred(z, classes)) / N / K
    found = []
    for i in range(N):
        rest, others = np.delete(z, i, axis=0), np.delete(classes, i)
        spread = centred(rest, others)
        inverse = np.linalg.inv(0.5 * spread.T @ spread / N + 0.5 * level * np.eye(K))
        q = []
        for c in range(count):
            mean = rest[others == c].sum(axis=0) / (np.sum(others == c) + 1)
            size = np.sum(others == c) + 0.5
            q.append(-(z[i] - mean) @ inverse @ (z[i] - mean) / 2 + np.log(size))
        mixture = special.logsumexp(q)
        found.append((q[classes[i]], mixture, max(q) - mixture))
    return np.array(found).T


def test_densities_are_those_of_a_fit_without_the_sample(data):
    found = module._log_densities(*data)
    np.testing.assert_allclose(found, densities_by_refitting(*data), rtol=1e-9)


def test_densities_do_not_depend_on_the_size_of_blocks(data, monkeypatch):
    expected = module._log_densities(*data), module._nearest(*data)
    monkeypatch.setattr(module, "_CHUNK", 50)
    np.testing.assert_allclose(module._log_densities(*data), expected[0])
    np.testing.assert_allclose(module._nearest(*data), expected[1])


def nearest_by_loops(z, classes, reference):
    """Mean distance to the three nearest others among the references; what does not exist is furthest."""
    furthest = 2 * max(np.linalg.norm(row) for row in z)
    found = []
    for i in range(len(z)):
        others = [j for j in reference if j != i]
        distances = {j: np.linalg.norm(z[i] - z[j]) for j in others}
        same = sorted([distances[j] for j in others if classes[j] == classes[i]] + [furthest] * 3)
        found.append((np.mean(same[:3]), np.mean(sorted(distances.values())[:3])))
    return np.array(found).T


def test_nearest_are_those_that_loops_find(data, monkeypatch):
    np.testing.assert_allclose(module._nearest(*data), nearest_by_loops(*data, range(N)))
    monkeypatch.setattr(module, "_MOST_REFERENCES", 15)
    np.testing.assert_allclose(module._nearest(*data), nearest_by_loops(*data, range(0, N, 3)))


def test_classes_of_few_samples_share_a_column():
    labels = np.repeat([7, 3, 5, 1], [6, 4, 3, 2])
    found = covariates(np.random.default_rng(1).standard_normal((15, 2)), labels).classes
    expected = np.stack([labels == 3, labels == 7, (labels == 5) | (labels == 1)], axis=1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("labels", [None, np.full(9, 4)])
def test_without_labels_or_with_one_class_there_is_no_column_of_classes(labels):
    blind = np.random.default_rng(2).standard_normal((9, 2))
    found = covariates(blind, labels)
    assert found.classes.shape == (9, 0)
    np.testing.assert_allclose(found.within, found.features, atol=1e-12)
    assert found.typicality.shape[1] <= 2 * 5


def test_features_have_no_unit_and_constants_are_left_out():
    rng = np.random.default_rng(3)
    blind, labels = rng.standard_normal((30, 3)), rng.integers(0, 3, 30)
    found = covariates(np.c_[np.exp(blind) * 1e6, np.ones(30)], labels)
    expected = covariates(blind, labels)
    for name in ("features", "within", "classes", "typicality"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-9)
    assert found.columns.shape[1] == 3 + 3 + expected.typicality.shape[1]
    for c in range(3):
        np.testing.assert_allclose(found.within[labels == c].mean(axis=0), 0, atol=1e-12)


def test_wrong_labels_look_untypical_of_what_they_say():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 200)
    blind = rng.standard_normal((200, 4)) + 2 * labels[:, None]
    wrong = np.arange(200) < 20
    found = covariates(blind, np.where(wrong, (labels + 1) % 3, labels)).typicality[:, 0]
    assert found[wrong].max() < np.median(found[~wrong])


@pytest.mark.parametrize(
    ("samples", "features", "classes"), [(6, 40, 3), (60, 1, 1), (60, 5, 60), (61, 112, 8), (5, 1, 5)]
)
def test_odd_shapes_give_finite_columns(samples, features, classes):
    rng = np.random.default_rng(5)
    blind = rng.standard_normal((samples, features))
    given = covariates(blind, np.arange(samples) % classes)
    assert np.isfinite(given.columns).all()
    assert np.isfinite(adjusted(rng.standard_normal((samples, 2)), given)).all()


def test_features_that_only_say_the_class_give_finite_columns():
    labels = np.arange(30) % 3
    assert np.isfinite(covariates(np.stack([labels, -labels], axis=1).astype(float), labels).columns).all()


def test_what_is_left_is_orthogonal_to_what_was_adjusted_for():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 4, 300)
    given = covariates(rng.standard_normal((300, 6)) + labels[:, None], labels)
    scores = rng.standard_normal((300, 3)) + 2 * given.features[:, :3] + labels[:, None]
    rest = adjusted(scores, given)
    known = np.hstack([np.ones((300, 1)), given.features, given.within, given.typicality, given.classes])
    np.testing.assert_allclose(known.T @ rest, 0, atol=1e-2)  # but for what is collinear
    np.testing.assert_allclose(given.classes.T @ rest, 0, atol=1e-9)
    np.testing.assert_allclose(adjusted(rest, given), rest, atol=1e-9)
    known = known - known.mean(axis=0)
    expected = scores - known @ np.linalg.lstsq(known, scores, rcond=1e-5)[0]
    np.testing.assert_allclose(rest, expected - expected.mean(axis=0), atol=1e-3)


@pytest.mark.parametrize("num_reference", [1, 3])
def test_scores_of_a_reference_leave_nothing_among_many_features(num_reference):
    """As they are, though 112 features have larger components; of more than N/8 the leading components."""
    rng = np.random.default_rng(8)
    features, reference = rng.standard_normal((200, 112)), rng.standard_normal((200, num_reference))
    blind = np.hstack([features, np.zeros((200, 1)), reference])
    given = covariates(blind, np.arange(200) % 3, num_reference=num_reference)
    np.testing.assert_array_equal(given.reference, given.features[:, 112:])
    assert np.abs(adjusted(given.reference, given)).max() < 1e-6  # but for what is collinear
    assert adjusted(given.reference, covariates(blind, np.arange(200) % 3)).std() > 0.5
    many = covariates(blind, num_reference=110)
    assert np.isfinite(adjusted(rng.standard_normal((200, 2)), many)).all()


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_what_a_reference_shows_too_is_no_evidence():
    """P is easier than U for every model, and the scores are the reference's and noise."""
    n, rejected = 200, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features = rng.standard_normal((2 * n, 8)) @ rng.standard_normal((8, 112)) * 0.5
        ease = rng.standard_normal(2 * n) + 0.4 * (np.arange(2 * n) < n)
        reference, first = (ease + 0.05 * rng.standard_normal(2 * n) for _ in range(2))
        scores = np.column_stack([first, first + 0.05 * rng.standard_normal(2 * n)])
        blind = np.column_stack([features + rng.standard_normal((2 * n, 112)), reference])
        sets = compare_sets(
            scores[:n], scores[n:], p_blind=blind[:n], u_blind=blind[n:], num_reference=1, seed=seed
        )
        rejected += set_test(sets, permutations=999).adjusted.p_value <= 0.05
    assert rejected <= 5  # 9 where the reference is one feature among others


def test_scores_that_pictures_explain_leave_nothing():
    rng = np.random.default_rng(7)
    given = covariates(rng.standard_normal((100, 3)))
    rest = adjusted(given.features @ rng.standard_normal((3, 2)), given)
    assert np.abs(rest).max() < 1e-11
