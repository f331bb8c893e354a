"""How much of P was trained on: the definition by counting, coverage, what must not be said."""

import numpy as np
import pytest
from scipy import stats as reference

from jaxaudit.errors import InputError
from jaxaudit.stats import usage_bound, usage_fraction


def mixed(rng, n, share, shift, dims=1):
    """n pictures of which a share scores higher by `shift` deviations in each of `dims` scores."""
    members = np.arange(n) < round(share * n)
    return rng.standard_normal((n, dims)) + shift * members[:, None]


def slow_bound(published, unpublished, alpha):
    """Equation (2), trying every k."""
    n, m, best = len(published), len(unpublished), 0.0
    for part in (0.1, 0.25, 0.5, 0.75):
        r = int(np.ceil(m * part))
        c = sum(x <= sorted(unpublished)[r - 1] for x in published)
        law = [reference.betabinom(k, r, m - r + 1).cdf(c) if k > c else 1.0 for k in range(n + 1)]
        best = max(best, 1 - max(k for k in range(n + 1) if law[k] > alpha / 4) / n)
    return best


def blind(rng, n, m):
    return {"blind_published": rng.standard_normal(n), "blind_unpublished": rng.standard_normal(m)}


def test_the_bound_is_its_definition_ties_included():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.4, 1.0):
        published = np.round(mixed(rng, 40, share, 2.0)[:, 0], 1)
        unpublished = np.round(rng.standard_normal(70), 1)
        bound = usage_bound(published, unpublished, confidence=0.9)
        assert bound == pytest.approx(slow_bound(published, unpublished, 0.1))


def test_what_is_all_above_is_almost_all_used():
    rng = np.random.default_rng(1)
    unpublished = rng.standard_normal(300)
    assert usage_bound(unpublished[:200] + 10, unpublished) > 0.95
    assert usage_bound(np.zeros(50), np.zeros(50)) == 0  # ties count as nonmembers
    assert usage_bound(unpublished - 10, unpublished) == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_the_bound_covers_whatever_members_score(share):
    rng = np.random.default_rng(round(10 * share))
    members = np.arange(60) < 60 * share
    too_high = 0
    for trial in range(200):
        shift = (0.0, 1.0, 5.0, -2.0)[trial % 4]
        published = rng.standard_normal(60) + shift * members
        too_high += usage_bound(published, rng.standard_normal(80)) > share + 1e-9
    assert reference.binomtest(too_high, 200, 0.05, alternative="greater").pvalue > 0.001


def test_with_known_members_the_share_is_found():
    rng = np.random.default_rng(2)
    for share in (0.0, 0.25, 0.5, 1.0):
        found = usage_fraction(
            mixed(rng, 300, share, 3.0, 2),
            mixed(rng, 300, 0.0, 3.0, 2),
            known=mixed(rng, 300, 1.0, 3.0, 2),
            **blind(rng, 300, 300),
        )
        assert found.status == "estimated"
        assert found.share.estimate == pytest.approx(share, abs=0.1)
        assert found.share.low <= share <= found.share.high or share in (0.0, 1.0)
        assert found.at_least <= share
        assert found.showing == pytest.approx(share, abs=0.12)


def test_where_members_leave_no_trace_nothing_is_told():
    rng = np.random.default_rng(4)
    sets = [mixed(rng, 300, share, 0.0) for share in (1.0, 0.0, 1.0)]
    found = usage_fraction(sets[0], sets[1], known=sets[2], **blind(rng, 300, 300))
    assert (found.status, found.share, found.at_least) == ("cannot_tell", None, 0)
    assert "cannot be told" in found.sentence


def test_without_known_members_it_is_at_least():
    rng = np.random.default_rng(5)
    found = usage_fraction(mixed(rng, 300, 0.6, 3.0), mixed(rng, 300, 0.0, 3.0), **blind(rng, 300, 300))
    assert (found.status, found.share, found.num_known) == ("at_least", None, 0)
    assert 0.45 < found.at_least <= 0.6
    assert found.sentence.startswith(f"At least {found.at_least:.0%} of P")


def test_a_difference_that_is_seen_blindly_silences_it():
    rng = np.random.default_rng(6)
    control = {"blind_published": rng.standard_normal(300) + 1, "blind_unpublished": rng.standard_normal(300)}
    found = usage_fraction(mixed(rng, 300, 1.0, 3.0), mixed(rng, 300, 0.0, 3.0), **control)
    assert (found.status, found.at_least) == ("not_testable", 0)
    assert found.blind_at_least > 0


def test_members_unlike_the_known_ones_are_no_mixture():
    rng = np.random.default_rng(7)
    published, unpublished, known = (
        rng.standard_normal(400) + 2,
        rng.standard_normal(400),
        rng.standard_normal(400) + 8,
    )
    sides = (side[:, None] for side in (published, unpublished))
    found = usage_fraction(*sides, known=known[:, None], **blind(rng, 400, 400))
    assert (found.status, found.share, found.possible) == ("no_mixture", None, None)
    assert found.at_least > 0


def test_members_that_are_other_pictures_in_kind_tell_nothing():
    rng = np.random.default_rng(9)
    sides = mixed(rng, 300, 0.6, 3.0), mixed(rng, 300, 0.0, 3.0)
    control, known = blind(rng, 300, 300), mixed(rng, 300, 1.0, 3.0)
    found = usage_fraction(*sides, known=known, known_differ=True, **control)
    assert (found.status, found.share, found.possible, found.num_known) == ("known_differ", None, None, 300)
    assert found.at_least == usage_fraction(*sides, **control).at_least > 0


def test_members_that_score_no_higher_than_u_tell_nothing_in_either_direction():
    """The scorer would learn to tell M from U the wrong way round, and P be full of members."""
    rng = np.random.default_rng(12)
    unseen, seen = mixed(rng, 600, 0.0, 3.0, 2), mixed(rng, 300, 1.0, 3.0, 2)
    found = usage_fraction(unseen[:300], seen, known=unseen[300:], **blind(rng, 300, 300))
    assert (found.status, found.share, found.possible, found.at_least) == ("cannot_tell", None, None, 0)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_where_nothing_was_found_no_share_above_0_is_claimed(share):
    rng = np.random.default_rng(11)
    sides = mixed(rng, 300, share, 3.0), mixed(rng, 300, 0.0, 3.0)
    found = usage_fraction(*sides, known=mixed(rng, 300, 1.0, 3.0), found=False, **blind(rng, 300, 300))
    assert (found.at_least, found.share.low, found.possible[0]) == (0, 0, 0)
    assert found.share.high > share
    assert found.sentence.startswith(f"No more than {found.share.high:.0%} of P were trained on")


def test_refuses_what_is_too_little():
    rng = np.random.default_rng(8)
    sides = mixed(rng, 50, 0.5, 1.0), mixed(rng, 50, 0.0, 1.0)
    with pytest.raises(InputError, match="5 are too few; at least 20 known members"):
        usage_fraction(*sides, known=mixed(rng, 5, 1.0, 1.0), **blind(rng, 50, 50))
    with pytest.raises(InputError, match="confidence=1.5"):
        usage_bound(*(side[:, 0] for side in sides), confidence=1.5)
