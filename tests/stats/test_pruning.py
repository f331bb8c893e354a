"""Pairs that balance: within the tolerance, and no fewer than need be."""

import itertools

import numpy as np
import pytest

from jaxaudit.stats.pruning import TOLERANCE, balanced_pairs


def test_what_is_kept_is_balanced():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.15, 1, (400, 12))
    kept = balanced_pairs(differences)
    assert abs(differences.mean(axis=0)).max() > 0.2
    assert abs(differences[kept].mean(axis=0)).max() < TOLERANCE + 12 * 3 / kept.sum()  # fractions go
    assert kept.sum() > 250


@pytest.mark.parametrize("seed", range(5))
def test_hardly_any_other_choice_keeps_more(seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, (10, 1))
    most = max(
        len(some)
        for size in range(11)
        for some in itertools.combinations(range(10), size)
        if size == 0 or abs(differences[list(some)].mean()) <= 0.1
    )
    assert balanced_pairs(differences, tolerance=0.1).sum() >= most - 1  # one may be a fraction


def test_all_stay_where_nothing_is_to_be_balanced():
    assert balanced_pairs(np.zeros((5, 3))).all()
    assert balanced_pairs(np.ones((5, 0))).all()
    assert balanced_pairs(np.ones((0, 3))).shape == (0,)
    assert not balanced_pairs(np.ones((5, 1))).any()
