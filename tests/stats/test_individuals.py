"""Lists of members: slow definitions, the rate of false discoveries, resolution."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.stats import conformal_p_values, discover_members
from jaxaudit.stats.individuals import storey_null_share


def slow_list(published, unpublished, q):
    """The definition, by counting: R is the largest r with p_(r) <= q r / n."""
    n, m = len(published), len(unpublished)
    p = [(1 + sum(u >= s for u in unpublished)) / (m + 1) for s in published]
    most = max((r for r in range(1, n + 1) if sorted(p)[r - 1] <= q * r / n + 1e-12), default=0)
    return {str(i) for i in range(n) if most and p[i] <= sorted(p)[most - 1]}, p


def test_lists_what_the_definition_does_ties_included():
    rng = np.random.default_rng(0)
    for _ in range(20):
        published = np.round(np.r_[rng.standard_normal(15) + 3, rng.standard_normal(15)], 1)
        unpublished = np.round(rng.standard_normal(199), 1)
        expected, p = slow_list(published, unpublished, 0.1)
        found = discover_members(published, unpublished, q=0.1)
        assert set(found.discovered) == expected
        np.testing.assert_allclose(found.p_values, p)
        scores = [published[int(name)] for name in found.discovered]
        assert scores == sorted(scores, reverse=True)
        assert found.threshold == min(scores)
        assert expected == {i for i, p in zip(found.ids, found.adjusted_p_values, strict=True) if p <= 0.1}


def test_ties_count_against_membership():
    np.testing.assert_allclose(
        conformal_p_values(np.array([1.0, 2, 3]), np.array([1.0, 2, 2])), [1, 0.75, 0.25]
    )


def test_no_list_is_shorter_than_can_be_resolved():
    unpublished = np.arange(99.0)
    found = discover_members(np.r_[np.full(4, 1e3), np.zeros(16)], unpublished, q=0.05)
    assert (found.fewest, found.discovered) == (4, ("0", "1", "2", "3"))
    fewer = discover_members(np.r_[np.full(3, 1e3), np.zeros(17)], unpublished, q=0.05)
    assert (fewer.fewest, fewer.discovered, fewer.threshold) == (4, (), None)
    assert discover_members(np.full(20, 1e3), unpublished[:9], q=0.05).fewest is None  # 10 * 0.05 < 1


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("storey", [False, True])
@pytest.mark.parametrize("members", [0, 4, 20])
def test_the_false_discovery_rate_holds_though_all_share_one_u(members, storey):
    rng, q = np.random.default_rng(members), 0.1
    rates, found = [], []
    for _ in range(800):
        published = rng.standard_normal(40) + 2.5 * (np.arange(40) < members)
        listed = discover_members(published, rng.standard_normal(60), q=q, storey=storey).discovered
        rates.append(sum(int(i) >= members for i in listed) / max(len(listed), 1))
        found.append(sum(int(i) < members for i in listed))
    assert np.mean(rates) < q * (1 if storey else 1 - members / 40) + 3 * np.std(rates) / np.sqrt(800)
    assert members == 0 or np.mean(found) > 0
    if members == 20:
        assert np.mean(found) > 0.4 * members


def test_storeys_share_is_that_of_the_nonmembers():
    rng = np.random.default_rng(1)
    published = np.r_[rng.standard_normal(600) + 9, rng.standard_normal(400)]
    unpublished = rng.standard_normal(4000)
    p = conformal_p_values(published, unpublished)
    assert storey_null_share(p, 4000) == pytest.approx(0.4, abs=0.04)
    plain, scaled = (discover_members(published, unpublished, storey=storey) for storey in (False, True))
    assert set(plain.discovered) < set(scaled.discovered)


def test_a_scorer_fitted_on_this_u_is_what_the_assumption_forbids():
    """Scores that know U list nonmembers; the rate holds for scores fixed before."""
    rng = np.random.default_rng(2)
    features = rng.standard_normal((60, 200))
    seen, unseen = features[:30], features[30:]
    direction = np.linalg.lstsq(seen, -np.ones(30), rcond=None)[0]
    assert len(discover_members(unseen @ direction, seen @ direction, q=0.1).discovered) > 10


def test_errors():
    with pytest.raises(InputError, match=r"q=1 is not between"):
        discover_members(np.ones(2), np.ones(2), q=1)
    with pytest.raises(InputError, match="1 different ids do not fit 2 pictures"):
        discover_members(np.ones(2), np.ones(2), ids=["a", "a"])
    with pytest.raises(InputError, match="NaN or infinite"):
        discover_members(np.array([np.nan]), np.ones(2))
