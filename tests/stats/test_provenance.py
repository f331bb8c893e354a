"""Three answers, and how often they are given where nothing is true of any picture."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.stats import generated_share, provenance


def sides(n=100, m=400, *, seed=0, made=0, members=0):
    """Scores of P and U; the first `made` of P are generated, and score as members too."""
    rng = np.random.default_rng(seed)
    generated, member = rng.standard_normal((2, n + m))
    generated[:made] += 8
    member[: made + members] += 8
    return generated[:n], generated[n:], member[:n], member[n:]


def test_generated_pictures_are_no_members_though_they_score_like_some():
    found = provenance(*sides(made=30, members=40))
    assert found.status == "some_generated"
    assert found.origins[:30] == ("generated",) * 30
    assert found.origins[30:70] == ("member",) * 40
    assert set(found.members.p_values[:30]) == {1.0}
    assert "30 of P's 100 pictures came through the model's own decoder, and 40" in found.sentence


def test_a_set_is_called_generated_when_more_than_half_is_certain_to_be():
    most, half = provenance(*sides(made=90)), provenance(*sides(made=50))
    assert most.status == "generated"
    assert 0.5 < most.share.at_least <= 0.9
    assert half.status == "some_generated"
    assert half.share.at_least <= 0.5


def test_members_alone_and_nothing():
    assert provenance(*sides(members=60)).status == "some_members"
    nothing = provenance(*sides(n=20, m=100))
    assert (nothing.status, set(nothing.origins)) == ("nothing_shown", {"neither"})
    assert "shows no absence" in nothing.sentence


def test_refuses_what_cannot_be():
    with pytest.raises(InputError, match="NaN or infinite"):
        generated_share(np.array([np.nan]), np.zeros(9))
    with pytest.raises(InputError, match="confidence"):
        generated_share(np.zeros(9), np.zeros(9), confidence=1.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        provenance(*sides(), q=0)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.9])
def test_nothing_is_found_where_there_is_nothing(unchecked, correlation):
    """600 draws of P as U, n = 20, m = 400; the two scores depend on each other, or do not."""
    del unchecked
    rng, counts, repetitions = np.random.default_rng(1), np.zeros(3), 600
    for _ in range(repetitions):
        x, y = rng.standard_normal((2, 420))
        y = correlation * x + np.sqrt(1 - correlation**2) * y
        found = provenance(x[:20], x[20:], y[:20], y[20:])
        counts += [bool(found.generated.discovered), bool(found.members.discovered), found.share.mostly]
    listed_generated, listed_member, mostly = counts / repetitions
    assert listed_generated <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
    assert listed_member <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
    assert mostly == 0


@pytest.mark.slow
def test_the_bound_on_the_generated_share_holds(unchecked):
    """600 sets with 45 of 100 generated, scores two deviations up: a share above it is claimed by <= 1%."""
    del unchecked
    rng, above = np.random.default_rng(2), 0
    for _ in range(600):
        x = rng.standard_normal(500)
        x[:45] += 2
        above += generated_share(x[:100], x[100:]).at_least > 0.45
    assert above / 600 <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / 600)
