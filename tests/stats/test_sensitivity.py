"""Rosenbaum's bounds: SciPy at Gamma = 1, roots, loops, a hidden difference of known strength."""

import itertools

import numpy as np
import pytest
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.stats import Covariates, sensitivity, sign_test_bound, signed_rank_bound
from jaxaudit.stats.sensitivity import sign_test_gamma, signed_rank_gamma


def test_without_a_hidden_difference_the_tests_are_scipys():
    rng = np.random.default_rng(0)
    differences = rng.standard_normal(60) + 0.4
    higher = int(np.sum(differences > 0))
    assert sign_test_bound(higher, 60) == pytest.approx(
        stats.binomtest(higher, 60, alternative="greater").pvalue
    )
    expected = stats.wilcoxon(differences, alternative="greater", method="asymptotic", correction=False)
    assert signed_rank_bound(differences) == pytest.approx(expected.pvalue)
    assert signed_rank_bound(np.r_[differences, 0, 0]) == signed_rank_bound(differences)


def test_the_bound_is_the_worst_hidden_difference():
    """Every pair's probability at its upper limit, enumerated."""
    gamma, higher, pairs = 2.0, 6, 8
    kappa = gamma / (1 + gamma)
    worst = sum(
        np.prod([kappa if up else 1 - kappa for up in signs])
        for signs in itertools.product((0, 1), repeat=pairs)
        if sum(signs) >= higher
    )
    assert sign_test_bound(higher, pairs, gamma=gamma) == pytest.approx(worst)


def test_gamma_is_where_the_bound_meets_alpha():
    rng = np.random.default_rng(1)
    differences = np.round(rng.standard_normal(200) + 0.7, 1)  # with tied ranks
    differences = differences[differences != 0]
    higher, pairs = int(np.sum(differences > 0)), differences.size
    gamma, by_ranks = sign_test_gamma(higher, pairs, 0.01), signed_rank_gamma(differences, 0.01)
    assert gamma > 1.5
    assert sign_test_bound(higher, pairs, gamma=gamma) == pytest.approx(0.01)
    assert signed_rank_bound(differences, gamma=by_ranks) == pytest.approx(0.01)
    assert sign_test_gamma(10, 10, 0.01) == pytest.approx(0.01**0.1 / (1 - 0.01**0.1))
    assert sign_test_gamma(6, 10, 0.01) is None
    assert signed_rank_gamma(-differences, 0.01) is None
    assert signed_rank_bound(np.zeros(3)) == 1


def test_a_hidden_difference_is_explained_by_no_less_than_its_own_gamma():
    """Odds of being in P are multiplied by 2 where a hidden mark is set, and marked pictures score higher."""
    rng, gamma = np.random.default_rng(2), 2.0
    rejected, without = 0, 0
    for _ in range(300):
        marked = rng.random((150, 2)) < 0.5
        scores = 10.0 * marked + rng.standard_normal((150, 2))
        odds = gamma ** (marked[:, 0].astype(int) - marked[:, 1].astype(int))
        first = rng.random(150) < odds / (1 + odds)
        p, u = np.where(first, scores.T, scores.T[::-1])
        differences = p - u
        differences = differences[np.abs(differences) > 5]  # pairs in which the mark tells them apart
        higher = int(np.sum(differences > 0))
        rejected += sign_test_bound(higher, differences.size, gamma=gamma) <= 0.05
        without += sign_test_bound(higher, differences.size) <= 0.05
    assert rejected / 300 < 0.08
    assert without / 300 > 0.8


def test_matching_takes_away_what_the_propensity_explains():
    rng = np.random.default_rng(3)
    n = 600
    seen = rng.standard_normal(n) + 0.8, rng.standard_normal(n)
    covariates = [Covariates(propensity=special.expit(side)) for side in seen]
    scores = [side + rng.standard_normal(n) for side in seen]
    plain = sensitivity(*scores)
    matched = sensitivity(*scores, published_covariates=covariates[0], unpublished_covariates=covariates[1])
    assert plain.gamma > 1.5
    assert matched.gamma is None
    assert matched.sentence.startswith(f"In {matched.pairs} pairs of pictures alike")
    assert matched.imbalance_before > 0.5 > 0.05 > abs(matched.imbalance_after)
    assert (plain.pairs, plain.caliper, plain.imbalance_before) == (n, None, None)
    members = sensitivity(
        scores[0] + 1.5, scores[1], published_covariates=covariates[0], unpublished_covariates=covariates[1]
    )
    assert members.gamma > 2
    assert f"multiply the odds of a picture being in P by {members.gamma:.3g} to explain" in members.sentence


def test_errors():
    with pytest.raises(InputError, match=r"gamma=0\.5 is no factor"):
        sign_test_bound(1, 2, gamma=0.5)
    with pytest.raises(InputError, match="3 of 2 pairs"):
        sign_test_bound(3, 2)
    with pytest.raises(InputError, match="NaN or infinite"):
        signed_rank_bound(np.array([np.nan]))
