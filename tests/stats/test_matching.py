"""Matched pairs: what a pair is, against the optimal assignment, and what matching takes away."""

import numpy as np
import pytest
from scipy import special
from scipy.optimize import linear_sum_assignment

from jaxaudit.errors import InputError
from jaxaudit.stats import Covariates, match_pairs


def blind(rng, size, shift=0.0):
    return special.expit(rng.standard_normal(size) + shift)


def test_a_pair_shares_a_stratum_and_is_within_the_caliper():
    rng = np.random.default_rng(0)
    p = Covariates(strata=rng.integers(0, 5, 300), propensity=blind(rng, 300, 0.7))
    u = Covariates(strata=rng.integers(0, 5, 200), propensity=blind(rng, 200))
    pairs = match_pairs(p, u, 300, 200)
    assert len(set(pairs.p)) == len(set(pairs.u)) == len(pairs.p) > 100
    np.testing.assert_array_equal(p.strata[pairs.p], u.strata[pairs.u])
    log_odds = special.logit(np.concatenate([p.propensity, u.propensity]))
    assert pairs.caliper == pytest.approx(0.2 * log_odds.std())
    distance = np.abs(log_odds[pairs.p] - log_odds[300 + pairs.u])
    assert distance.max() <= pairs.caliper
    left = np.setdiff1d(np.arange(300), pairs.p), np.setdiff1d(np.arange(200), pairs.u)
    same = p.strata[left[0]][:, None] == u.strata[left[1]]
    apart = np.abs(log_odds[left[0]][:, None] - log_odds[300 + left[1]]) > pairs.caliper
    assert np.mean(~same | apart) > 0.99  # hardly any two that remain could have been a pair


@pytest.mark.parametrize(("n", "m", "shift"), [(200, 200, 0.5), (200, 200, 1.5), (100, 400, 0.5)])
def test_finds_as_many_pairs_as_the_optimal_assignment_and_removes_the_shift(n, m, shift):
    rng = np.random.default_rng(1)
    p, u = blind(rng, n, shift), blind(rng, m)
    pairs = match_pairs(Covariates(propensity=p), Covariates(propensity=u), n, m)
    distance = np.abs(special.logit(p)[:, None] - special.logit(u))
    rows, columns = linear_sum_assignment(np.minimum(distance, pairs.caliper))
    optimal = np.sum(distance[rows, columns] < pairs.caliper)
    assert 0.97 * optimal < len(pairs.p) < 1.03 * optimal
    before, after = pairs.imbalance
    assert before > 0.4
    assert abs(after) < 0.03


def test_equal_propensities_and_none_at_all():
    flat = Covariates(propensity=np.full(7, 0.5)), Covariates(propensity=np.full(4, 0.5))
    pairs = match_pairs(*flat, 7, 4)
    assert (len(pairs.p), pairs.imbalance) == (4, (0, 0))
    by_class = Covariates(strata=np.array([0, 0, 1])), Covariates(strata=np.array([1, 1, 2]))
    pairs = match_pairs(*by_class, 3, 3)
    assert (pairs.p.tolist(), len(pairs.u), pairs.caliper, pairs.imbalance) == ([2], 1, None, None)


def test_errors():
    one = Covariates(strata=np.zeros(3, int))
    with pytest.raises(InputError, match="strata are known for one of P and U only"):
        match_pairs(one, Covariates(), 3, 3)
    with pytest.raises(InputError, match=r"strata of shapes \(3,\) and \(3,\) do not fit 3 and 4 pictures"):
        match_pairs(one, one, 3, 4)
    with pytest.raises(InputError, match=r"from 0 to 1\.5 are no probabilities"):
        match_pairs(Covariates(propensity=np.zeros(1)), Covariates(propensity=np.full(1, 1.5)), 1, 1)
    with pytest.raises(InputError, match="caliper of 0 standard deviations"):
        match_pairs(one, one, 3, 3, caliper=0)
