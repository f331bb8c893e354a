"""Whether sets are alike: the rule, its parts against closed forms, and what matching cannot see."""

import numpy as np
import pytest

from jaxaudit.stats.fair_sets import pair_pools
from jaxaudit.stats.frechet import frechet_distance, moments
from jaxaudit.stats.intervals import auc_interval
from jaxaudit.stats.likeness import (
    MARGIN,
    balance_of,
    compare_pictures,
    forest_scores,
    halved_distances,
    likeness,
    pairs_needed,
)
from jaxaudit.stats.propensity import positions
from tests.reports.fair_sets.test_fair_sets_report import comparison
from tests.stats.shifted import digit_features, draw_pools


@pytest.mark.parametrize(
    ("auc", "p_value", "answer"),
    [(0.5, 0.5, "equal"), (0.52, 0.01, "equal"), (0.53, 0.5, "too_few"), (0.53, 0.01, "different"),
     (0.59, 0.5, "different")],
)  # fmt: skip
def test_the_answer_follows_from_limits_and_gate(auc, p_value, answer):
    assert likeness(comparison(auc, p_value), 0.05) == answer  # limits at 0.03 to both sides


def test_as_many_pairs_as_are_said_to_be_needed_are_enough():
    k = pairs_needed(0.05)
    places = np.arange(k, dtype=float)
    found = auc_interval(places, places, confidence=0.9)
    assert found.estimate == 0.5
    assert found.high == pytest.approx(0.55, abs=0.002)


def test_balance_is_the_standardised_mean_difference():
    p, u = np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[0.0, 5.0], [0.0, 5.0]])
    (only,) = balance_of(p, u, p[:1], u[:1], ("a", "constant"))
    assert (only.feature, only.before, only.after) == ("a", 2 / np.sqrt(0.5), 1 / np.sqrt(0.5))


def test_distances_are_of_halves_of_equal_size():
    rng = np.random.default_rng(0)
    p, u = rng.normal(0, 1, (61, 3)), rng.normal(1, 1, (40, 3))
    between, within_p, within_u = halved_distances(p, u)
    a, b, c, d = (moments(rows) for rows in (p[:20], p[20:40], u[:20], u[20:40]))
    assert within_p == frechet_distance(a, b)
    assert within_u == frechet_distance(c, d)
    assert between == (frechet_distance(a, d) + frechet_distance(b, c)) / 2
    assert halved_distances(p[:3], u) == (None, None, None)


def test_trees_are_asked_about_what_they_were_not_trained_on():
    rng = np.random.default_rng(0)
    x, parts = rng.normal(0, 1, (120, 4)), np.arange(120) % 3
    scores = forest_scores(x, parts, 60)
    changed = x.copy()
    changed[parts == 0] = changed[parts == 0][::-1]
    again = forest_scores(changed, parts, 60)
    np.testing.assert_array_equal(again[parts == 0], scores[parts == 0][::-1])


def test_a_difference_that_means_and_log_odds_do_not_show_is_found():
    """P has equal signs of two features, U unequal ones: each feature alone is alike, and its square too."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (900, 3))
    same = x[:, 0] * x[:, 1] > 0
    p, u = x[same], x[~same]
    place = positions(x)
    parts = np.arange(len(p)) % 3, np.arange(len(u)) % 3
    found = compare_pictures(p, u, positions=(place[same], place[~same]), parts=parts)
    assert found.auc.low > 0.9
    assert likeness(found, 0.05) == "different"


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "twisted"), [(0.0, False), (1.0, False), (0.0, True)])
def test_matched_sets_are_called_what_they_are(unchecked, shift, twisted):
    """docs/fair_sets.md has these counts, of 20 draws of digits; what is twisted no rule can see."""
    features, labels = digit_features()
    place = positions(features)
    answers = []
    for seed in range(20):
        p, u = draw_pools(seed, shift, twisted=twisted)
        pairs = pair_pools(features[p], features[u], p_labels=labels[p], u_labels=labels[u], seed=seed)
        rows = p[pairs.pairs[:, 0]], u[pairs.pairs[:, 1]]
        found = compare_pictures(
            *(features[side] for side in rows),
            positions=(place[rows[0]], place[rows[1]]),
            parts=(pairs.part, pairs.part),
            labels=(labels[rows[0]], labels[rows[1]]),
            seed=seed,
        )
        answers.append(likeness(found, MARGIN))
    print(shift, twisted, {answer: answers.count(answer) for answer in sorted(set(answers))})
    assert "equal" not in answers if twisted else answers.count("different") <= 2
