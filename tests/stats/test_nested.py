"""Nested cross-validation: what leaks is found, and chance is not; the un-nested one flatters itself."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from jaxaudit import stats
from jaxaudit.errors import InputError
from jaxaudit.stats.nested import nested_cross_validation, published_candidates

LOGISTIC = {"logistic": LogisticRegression()}
FEW = {
    **LOGISTIC,
    **{f"tree {seed}": DecisionTreeClassifier(splitter="random", random_state=seed) for seed in range(3)},
}


def drawn(seed, n=40, m=60, features=6, shift=0.0):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, features)) + shift, random.standard_normal((m, features))


def nested_auc(found):
    return stats.auc_interval(found.members, found.nonmembers)


def unnested_auc(found):
    return stats.auc_interval(found.unnested_members, found.unnested_nonmembers)


def test_finds_what_leaks_by_the_classifier_that_fits():
    found = nested_cross_validation(*drawn(0, shift=0.8), candidates=FEW)
    assert nested_auc(found).estimate > 0.85
    assert set(found.chosen) == {"logistic"} == {found.unnested}
    assert (found.members.shape, found.nonmembers.shape) == ((40,), (60,))


def test_no_picture_has_a_say_in_its_own_score():
    members, nonmembers = drawn(1, n=20, m=20)
    plain = nested_cross_validation(members, nonmembers, candidates=LOGISTIC)
    members[4] += 100
    moved = nested_cross_validation(members, nonmembers, candidates=LOGISTIC)
    same = np.concatenate([plain.members == moved.members, plain.nonmembers == moved.nonmembers])
    assert same.sum() == 7  # of 40 in 5 folds, those beside it in the fold whose fit has not seen it
    assert not same[4]


def test_the_best_of_many_flatters_itself_where_there_is_nothing():
    found = [nested_cross_validation(*drawn(seed, 20, 30), candidates=FEW, seed=seed) for seed in range(2)]
    gained = [unnested_auc(each).estimate - nested_auc(each).estimate for each in found]
    assert np.mean(gained) > 0.02


def test_the_published_candidates():
    candidates = published_candidates()
    assert len(candidates) == 5 + 9 + 3 + 1
    assert all(hasattr(each, "predict_proba") for each in candidates.values())


def test_refuses_too_few():
    with pytest.raises(InputError, match="9 are too few; at least 10 pictures of each side"):
        nested_cross_validation(*drawn(0, n=9))


@pytest.mark.slow
def test_chance_is_told_from_a_leak_as_often_as_the_interval_says(unchecked):
    runs = 100
    found = [nested_cross_validation(*drawn(seed, 60, 80), candidates=FEW, seed=seed) for seed in range(runs)]
    above = sum(nested_auc(each).low > 0.5 for each in found)
    below = sum(nested_auc(each).high < 0.5 for each in found)
    flattered = sum(unnested_auc(each).low > 0.5 for each in found)
    mean = np.mean([unnested_auc(each).estimate for each in found])
    print(f"of {runs}: nested above {above}, below {below}; un-nested above {flattered}, mean {mean:.3f}")
    assert above <= runs * 0.025 + 3 * np.sqrt(runs * 0.025)
    assert flattered > above
