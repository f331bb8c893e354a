"""Optimal pairs, against all ways to pair a few pictures."""

import itertools

import numpy as np
import pytest

from jaxaudit.stats.assignment import Places, assign_pairs


def places(rng, size, coordinates=2, strata=2):
    return Places(
        rng.normal(0, 1, (size, coordinates)), rng.normal(0, 1, (size, 3)), rng.integers(0, strata, size)
    )


def distance(where, i, j):
    """(1); infinite where the pair is not allowed."""
    apart = abs(where.coordinates[i] - where.coordinates[j])
    if where.strata[i] != where.strata[j] or max(apart) > 1:
        return np.inf
    return sum(apart) + sum((where.position[i] - where.position[j]) ** 2)


def best(where, p, u):
    """(-pairs, sum of distances) of the best way to pair, by trying all."""
    found = (0, 0.0)
    for size in range(1, min(len(p), len(u)) + 1):
        for some in itertools.combinations(p, size):
            for others in itertools.permutations(u, size):
                total = sum(distance(where, i, j) for i, j in zip(some, others, strict=True))
                found = min(found, (-size, total)) if total < np.inf else found
    return found


@pytest.mark.parametrize("seed", range(6))
def test_no_other_way_makes_more_pairs_or_closer_ones(seed):
    where = places(np.random.default_rng(seed), 9)
    p, u = np.array([8, 1, 3, 5]), np.array([0, 2, 4, 6, 7])
    pairs = assign_pairs(where, p, u)
    total = sum(distance(where, i, j) for i, j in pairs)
    assert (-len(pairs), total) == pytest.approx(best(where, p.tolist(), u.tolist()))


def test_every_picture_pairs_once_and_as_allowed():
    where = places(np.random.default_rng(0), 3_000, strata=3)  # strata of two blocks
    rows = np.random.default_rng(1).permutation(3_000)
    pairs = assign_pairs(where, rows[:1_200], rows[1_200:])
    assert len(np.unique(pairs)) == pairs.size
    assert np.isin(pairs[:, 0], rows[:1_200]).all()
    assert all(distance(where, i, j) < np.inf for i, j in pairs)
    assert len(pairs) > 1_100


@pytest.mark.parametrize("u", [[], [1]])
def test_nothing_pairs_where_nothing_is_allowed(u):
    where = Places(np.array([[0.0], [2.0]]), np.zeros((2, 1)), np.zeros(2, int))
    assert assign_pairs(where, np.array([0]), np.array(u, int)).shape == (0, 2)
