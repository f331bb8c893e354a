"""The share of a mixture: the definition by trying, what it holds, and where it is silent."""

import numpy as np
import pytest

from jaxaudit.stats.mixture import fieller, possible_shares


def sides(rng, n, share, shift):
    """P of this share of members, U and M."""
    return (
        rng.standard_normal(n) + shift * (np.arange(n) < round(share * n)),
        rng.standard_normal(n),
        rng.standard_normal(n) + shift,
    )


def slow_possible(published, unpublished, known, alpha):
    """Equation (3) at shares of whole per cent, by counting."""
    places, found = np.concatenate([published, unpublished, known]), []

    def law(side, t):
        return sum(x <= t for x in side) / len(side)

    def error(side):
        return np.sqrt(np.log(6 / alpha) / (2 * len(side)))

    for share in np.linspace(0, 1, 101):
        far = max(
            abs(law(published, t) - share * law(known, t) - (1 - share) * law(unpublished, t)) for t in places
        )
        if far <= error(published) + share * error(known) + (1 - share) * error(unpublished):
            found.append(share)
    return min(found), max(found)


def test_possible_shares_are_those_of_the_definition_rounded_outwards():
    rng = np.random.default_rng(0)
    published, unpublished, known = sides(rng, 30, 0.5, 6.0)
    low, high = possible_shares(published, unpublished[:25], known[:20], confidence=0.2)
    slow_low, slow_high = slow_possible(published, unpublished[:25], known[:20], 0.8)
    assert 0.01 < slow_low < slow_high < 0.99
    assert slow_low - 0.02 < low <= slow_low <= 0.5 <= slow_high <= high < slow_high + 0.02


def test_what_is_no_mixture_has_no_share():
    rng = np.random.default_rng(1)
    unpublished, known = rng.standard_normal(400), rng.standard_normal(400) + 8
    assert possible_shares(rng.standard_normal(400) + 2, unpublished, known) is None
    low, high = possible_shares(np.r_[unpublished[:200] + 8, known[:200] - 8], unpublished, known)
    assert low < 0.5 < high


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_fiellers_interval_covers_and_says_nothing_beyond_0_and_1(share):
    rng = np.random.default_rng(3)
    found = [fieller(*sides(rng, 200, share, 2.0)) for _ in range(300)]
    told = [one for one in found if one is not None]
    missed = len(found) - sum(one.low <= share <= one.high for one in told)
    assert missed / 300 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)
    assert all(0 <= one.low <= one.estimate <= one.high <= 1 for one in told)
    assert all(one.high > one.low for one in told)


def test_a_share_is_told_only_if_its_error_is_small():
    rng = np.random.default_rng(4)
    assert fieller(*sides(rng, 400, 0.5, 1.5)) is not None
    assert fieller(*sides(rng, 40, 0.5, 0.8)) is None
    published, unpublished, known = sides(rng, 400, 0.5, 1.5)
    assert fieller(published, known, unpublished) is None  # M below U
    assert fieller(published + 9, unpublished, known) is None  # P above M


def test_a_larger_confidence_hides_no_share_and_has_a_longer_interval():
    three = sides(np.random.default_rng(5), 300, 0.5, 2.0)
    narrow, wide = (fieller(*three, confidence=confidence) for confidence in (0.9, 0.999))
    assert wide.low < narrow.low < narrow.estimate == wide.estimate < narrow.high < wide.high
    (low, high), (lower, higher) = (possible_shares(*three, confidence=c) for c in (0.9, 0.999))
    assert lower < low < high < higher
