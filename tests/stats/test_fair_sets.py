"""Pools that differ, matched: alike after, by rules that never saw what they pair."""

import numpy as np
import pytest
from scipy import special

from jaxaudit.errors import InputError
from jaxaudit.stats import fair_sets
from jaxaudit.stats.fair_sets import PARTS, pair_pools
from tests.stats.shifted import digit_features, draw_pools, null_scores, rises

SHIFT = 1.2


def gaussian_pools(seed, size=600, shift=SHIFT):
    """Features [_,6] and labels of P and U: the first feature and the class say who is likelier in P."""
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(0, 1, (2 * size, 6)), rng.integers(0, 3, 2 * size)
    in_p = rng.random(2 * size) < special.expit(shift * x[:, 0] + 0.5 * (labels - 1))
    return x[in_p], x[~in_p], labels[in_p], labels[~in_p]


def matched(p, u, p_labels, u_labels, seed=0):
    return pair_pools(p, u, p_labels=p_labels, u_labels=u_labels, seed=seed)


def test_the_matched_are_alike_where_the_pools_were_not():
    p, u, p_labels, u_labels = gaussian_pools(0)
    found = matched(p, u, p_labels, u_labels)
    rows_p, rows_u = found.pairs.T
    assert p[:, 0].mean() - u[:, 0].mean() > 0.8
    assert abs(p[rows_p].mean(axis=0) - u[rows_u].mean(axis=0)).max() < 0.06
    assert (p_labels[rows_p] == u_labels[rows_u]).all()
    assert len(np.unique(rows_p)) == len(np.unique(rows_u)) == len(rows_p) > 150
    assert found.paired >= len(rows_p)
    assert all(rule.classifiers[0].estimate > 0.7 for rule in found.rules)


def test_no_rule_was_learned_on_what_it_pairs(monkeypatch):
    pools, seen, learn = gaussian_pools(1), [], fair_sets.log_odds

    def spied(columns, in_p, trained_on):
        seen.append(trained_on)
        return learn(columns, in_p, trained_on)

    monkeypatch.setattr(fair_sets, "log_odds", spied)
    found = matched(*pools)
    part = np.concatenate([found.p_part, found.u_part])
    by_rule = [set(part[rows].tolist()) for rows in seen]
    assert {frozenset(parts) for parts in by_rule} == {
        frozenset(set(range(PARTS)) - {number}) for number in range(PARTS)
    }
    assert (found.p_part[found.pairs[:, 0]] == found.u_part[found.pairs[:, 1]]).all()


def test_a_second_classifier_joins_where_the_first_leaves_a_difference(monkeypatch):
    """The first is told nothing: the second finds the difference, and is in the rule."""
    calls, learn = [], fair_sets.log_odds

    def lazy(columns, in_p, trained_on):
        calls.append(len(trained_on))
        blind = len(calls) % 6 in (1, 2, 3)  # two halves and the whole, of the first of every rule
        return np.zeros(len(columns)) + 1e-9 * columns[:, 1] if blind else learn(columns, in_p, trained_on)

    pools = gaussian_pools(2)
    monkeypatch.setattr(fair_sets, "log_odds", lazy)
    monkeypatch.setattr(fair_sets, "_MOST_CLASSIFIERS", 2)
    found = matched(*pools)
    assert all(rule.coordinates.shape[1] == 2 for rule in found.rules)
    assert all(rule.classifiers[1].estimate > 0.7 for rule in found.rules)
    assert abs(pools[0][found.pairs[:, 0], 0].mean() - pools[1][found.pairs[:, 1], 0].mean()) < 0.1


def test_the_first_pairs_are_matched_as_well():
    p, u, p_labels, u_labels = gaussian_pools(3)
    found = matched(p, u, p_labels, u_labels)
    half = found.pairs[: len(found.pairs) // 2]
    assert set(found.part[: len(half)].tolist()) == set(range(PARTS))
    assert abs(p[half[:, 0], 0].mean() - u[half[:, 1], 0].mean()) < 0.1


def test_pools_that_do_not_overlap_are_said_to():
    p, u, *labels = gaussian_pools(0, size=150)
    with pytest.raises(InputError, match=r"do not overlap: of \d+ and \d+ pictures only \d+ pairs are alike"):
        matched(p + 20, u, *labels)


def test_pools_that_are_too_small_or_say_nothing_are_refused():
    p, u, *labels = gaussian_pools(0)
    with pytest.raises(InputError, match="Pools of 89 and 90 independent pictures are too small"):
        pair_pools(p[:89], u[:90])
    with pytest.raises(InputError, match="nothing to match them by"):
        pair_pools(np.ones((100, 2)), np.ones((100, 2)))
    with pytest.raises(InputError, match="Labels are given for one of P and U only"):
        pair_pools(p, u, p_labels=labels[0])


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "naive"), [(0.0, 0.0), (1.0, 0.3), (2.0, 0.5)])
def test_models_that_saw_neither_set_are_not_accused(unchecked, shift, naive):
    """docs/fair_sets.md has these rates: a one-sided t test at 5% on the mean score, over 200 draws."""
    features, labels = digit_features()
    scores = null_scores()
    rejected = {name: np.zeros(2) for name in scores}
    kept = []
    for seed in range(200):
        p, u = draw_pools(seed, shift)
        found = pair_pools(features[p], features[u], p_labels=labels[p], u_labels=labels[u], seed=seed)
        rows_p, rows_u = p[found.pairs[:, 0]], u[found.pairs[:, 1]]
        kept.append(len(rows_p))
        for name, score in scores.items():
            rejected[name] += [rises(score[p], score[u]), rises(score[rows_p], score[rows_u])]
    print(f"\nshift {shift}, {np.mean(kept):.0f} pairs")
    for name, (before, after) in rejected.items():
        print(f"  {name}: {before / 200:.3f} of pools, {after / 200:.3f} of matched sets")
        assert after / 200 <= 0.05 + 0.03  # two standard errors of 5% of 200
    assert max(before for before, _ in rejected.values()) / 200 >= naive
