"""The test behind a verdict: comparability, the classifier's excess over a blind one, and what is refused."""

import sys

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from jaxaudit.errors import InputError
from jaxaudit.stats import FEWEST, compare_sets, set_test
from jaxaudit.stats.gate import out_of_fold_scores
from tests.stats.pictures import pictures


def sets(n=60, m=70, *, shift=0.0, blind_shift=0.0, seed=0, features=4):
    """Scores, blind features and labels of P and U; `shift` and `blind_shift` move those of P."""
    rng = np.random.default_rng(seed)
    (p_blind, p_labels), (u_blind, u_labels) = pictures(rng, n), pictures(rng, m)
    p, u = (rng.standard_normal((size, features)) + rng.standard_normal((size, 1)) for size in (n, m))
    p_blind[:, 0] += blind_shift
    return {
        "p_features": p + shift,
        "u_features": u,
        "p_blind": p_blind,
        "u_blind": u_blind,
        "p_labels": p_labels,
        "u_labels": u_labels,
    }


def judge(data, **options):
    return set_test(compare_sets(**data), permutations=199, **options)


def test_members_are_found_by_both_tests():
    found = judge(sets(shift=1.2), alpha=0.05)
    assert found.rejected
    assert found.comparability == "comparable"
    assert found.p_value == max(found.plain.p_value, found.adjusted.p_value)
    assert found.auc_excess.low > 0
    assert found.effect.low > 0.3
    assert found.adjusted_effect.low > 0.3
    assert (found.num_p, found.num_u, found.permutations, found.seed) == (60, 70, 199, 0)
    assert found.names == tuple(f"feature {j}" for j in range(4))


def test_what_a_picture_is_explains_scores_away():
    rng = np.random.default_rng(1)
    data = sets(300, 300, blind_shift=0.5, seed=1)
    for side in "pu":
        noise = 0.5 * rng.standard_normal((300, 4))
        data[f"{side}_features"] = data[f"{side}_blind"][:, :1] + noise
    found = judge(data, alpha=0.05)
    assert found.plain.p_value <= 0.01
    assert found.adjusted.p_value > 0.05
    assert found.adjusted_effect.low < 0 < found.effect.low
    assert not found.rejected


@pytest.mark.parametrize(
    ("n", "blind_shift", "comparability"),
    [(100, 0.0, "comparable"), (1200, 0.25, "after_adjustment"), (100, 1.5, "different")],
)
def test_three_outcomes_of_comparing(n, blind_shift, comparability):
    found = judge(sets(n, n, shift=1.0, blind_shift=blind_shift, seed=2), alpha=0.05)
    assert found.comparability == comparability
    assert found.gate.passed == (comparability == "comparable")
    assert found.rejected == (comparability != "different")


@pytest.mark.parametrize("blind_shift", [0.0, 0.8])
def test_the_excess_is_that_of_delong_and_over_chance_at_least(blind_shift):
    data = sets(50, 40, shift=1.2, blind_shift=blind_shift, seed=3)
    given = compare_sets(**data)
    found = set_test(given, alpha=0.05, permutations=99).auc_excess
    scores, labels = out_of_fold_scores(given.columns, 50), np.arange(90) < 50
    areas = [roc_auc_score(labels, one) for one in (scores, given.blind)]
    wins = [
        np.array([[np.sign(p - u) / 2 + 0.5 for u in one[50:]] for p in one[:50]])
        for one in (scores, given.blind)
    ]
    assert (areas[1] > 0.5) == (blind_shift > 0)
    areas[1], wins[1] = (areas[1], wins[1]) if areas[1] > 0.5 else (0.5, np.full_like(wins[1], 0.5))
    difference = wins[0] - wins[1]
    error = np.sqrt(difference.mean(axis=1).var(ddof=1) / 50 + difference.mean(axis=0).var(ddof=1) / 40)
    assert found.estimate == pytest.approx(areas[0] - areas[1])
    assert found.low == pytest.approx(found.estimate - stats.norm.ppf(0.95) * error)
    assert found.high == pytest.approx(found.estimate + stats.norm.ppf(0.95) * error)


def test_scores_that_say_no_more_than_the_picture_do_not_convict():
    data = sets(400, 400, blind_shift=0.25, seed=4)
    for side in "pu":
        data[f"{side}_features"] = np.repeat(data[f"{side}_blind"][:, :1], 2, axis=1) ** 3
    found = judge(data, alpha=0.05)
    assert found.auc_excess.low <= 0
    assert not found.rejected


def test_swapped_sets_are_contradicted_and_not_convicted():
    data = sets(shift=-1.2, seed=5)
    found = judge(data, alpha=0.05)
    assert found.p_value <= 0.05
    assert found.contradicted
    assert not found.rejected


@pytest.mark.parametrize("features", [1, 3])
def test_constant_scores_show_nothing(features):
    data = sets(40, 50, features=features)
    for side, size in (("p", 40), ("u", 50)):
        data[f"{side}_features"] = np.full((size, features), 0.1)
    found = judge(data, alpha=0.05)
    assert (found.p_value, found.plain.p_value, found.adjusted.p_value) == (1, 1, 1)
    assert (found.effect.estimate, found.adjusted_effect.estimate) == (0, 0)
    assert not found.rejected
    assert not found.contradicted


def test_models_without_labels_and_one_constant_score():
    data = sets(shift=1.2) | {"p_labels": None, "u_labels": None}
    expected = judge(data, alpha=0.05)
    assert expected.rejected
    for side, size in (("p", 60), ("u", 70)):
        data[f"{side}_features"] = np.c_[data[f"{side}_features"], np.ones(size)]
    found = judge(data, alpha=0.05)
    assert (found.plain, found.adjusted, found.effect) == (expected.plain, expected.adjusted, expected.effect)
    assert len(found.names) == 5


def test_of_large_sides_a_subset_is_compared(monkeypatch):
    monkeypatch.setattr(sys.modules[compare_sets.__module__], "MOST", 45)
    data = sets(60, 40)
    data["p_features"][:, 0] = np.arange(60) + 1e3
    given = compare_sets(**data)
    assert (len(given.rows_p), len(given.rows_u)) == (45, 40)
    assert (np.diff(given.rows_p) > 0).all()
    np.testing.assert_array_equal(given.classes[:45], data["p_labels"][given.rows_p])
    np.testing.assert_array_equal(given.classes[45:], data["u_labels"])
    assert (np.diff(given.columns[:45, 0]) > 0).all()


def test_refused():
    data = sets()
    with pytest.raises(InputError, match=f"^29 pictures in question and 70 .*; {FEWEST} of each are"):
        compare_sets(**{name: value[:29] if name[0] == "p" else value for name, value in data.items()})
    with pytest.raises(InputError, match="Labels are given for one of P and U only"):
        compare_sets(**data | {"u_labels": None})
    with pytest.raises(InputError, match="Values of score 'b' in P are NaN"):
        compare_sets(**data | {"p_features": np.full((60, 4), np.nan)}, names=("b", "c", "d", "e"))
    given = compare_sets(**data)
    with pytest.raises(InputError, match="99 permutations cannot give a p-value of 0.001; at least 999"):
        set_test(given, alpha=0.001, permutations=99)
    with pytest.raises(InputError, match="alpha=0 is not between"):
        set_test(given, alpha=0, permutations=99)


@pytest.mark.usefixtures("unchecked")
def test_blind_features_of_other_samples_are_refused():
    data = sets()
    with pytest.raises(InputError, match="Blind features of 59 and 70 samples do not fit scores of 60 and"):
        compare_sets(**data | {"p_blind": data["p_blind"][1:]})
