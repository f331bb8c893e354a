"""Choosing a walk on one half and measuring it on the other: what choosing must not do, and what it finds."""

import numpy as np
import pytest
from scipy.stats import norm

from jaxaudit import stats
from jaxaudit.errors import InputError
from jaxaudit.results import Gate, Interval

PASSED = Gate(True, 0.4, {"features": 0.4}, Interval(0.5, 0.4, 0.6), 0.1, 0.5, 20, 31, 8, 999, 0)
FAILED = Gate(False, 0.01, {"features": 0.01}, Interval(0.7, 0.6, 0.8), 0.1, 0.5, 20, 31, 8, 999, 0)


def drawn(random, n, steps, *, shift=0.0, schedules=8):
    """Errors that go together, as those of one picture do: {"i/model": [n,S]}."""
    common = random.standard_normal((n, 1))
    return {
        f"{i}/model": common + random.standard_normal((n, steps)) + shift * (i == 3) for i in range(schedules)
    }


def best(members, nonmembers, seed=0):
    cut = stats.halves(*(len(side["0/model"]) for side in (members, nonmembers)), seed=seed)
    found = stats.walk_leakage(members, nonmembers, cut)
    return stats.best_walk(found, members, nonmembers, cut)


def test_halves_are_halves():
    members, nonmembers = stats.halves(9, 20, seed=1)
    for half, count in ((members, 9), (nonmembers, 20)):
        assert sorted([*half.ctrl, *half.test]) == list(range(count))
        assert len(half.test) - len(half.ctrl) in (0, 1)
    with pytest.raises(InputError, match="7 are too few; at least 8 members"):
        stats.halves(7, 20)


def test_the_step_is_that_of_the_one_half_and_the_numbers_those_of_the_other():
    random = np.random.default_rng(0)
    members, nonmembers = random.standard_normal((40, 3)), random.standard_normal((60, 3))
    cut = stats.halves(40, 60)
    members[cut[0].ctrl, 1] += 9  # step 1 tells all on ctrl, and nothing on test
    members[cut[0].test, 2] += 9
    (found,) = stats.walk_leakage({"7/latent": members}, {"7/latent": nonmembers}, cut)
    assert (found.name, found.error, found.step) == ("7", "latent", 1)
    x, y = members[cut[0].test, 1], nonmembers[cut[1].test, 1]
    assert found.leakage == stats.leakage(x, y)
    assert found.leakage.auc == stats.auc_interval(x, y)
    assert found.leakage.tpr == stats.tpr_at_fpr_interval(x, y)
    assert found.auc_by_step[2] == pytest.approx(1, abs=0.01)


def test_what_leaks_is_found_and_swapped_sides_are_not():
    random = np.random.default_rng(1)
    members, nonmembers = drawn(random, 200, 4, shift=1.5), drawn(random, 300, 4)
    found = best(members, nonmembers)
    assert found.name == "3"
    leaks = found.leakage
    assert stats.told_apart(leaks, leaks, PASSED) == "told_apart"
    assert stats.told_apart(leaks, leaks, FAILED) == "not_testable"
    reversed_loss = stats.leakage(nonmembers["3/model"][:, 0], members["3/model"][:, 0])
    assert stats.told_apart(leaks, reversed_loss, PASSED) == "contradicted"
    swapped = best({"3/model": nonmembers["3/model"], "0/model": nonmembers["3/model"]},
                   {"3/model": members["3/model"], "0/model": members["3/model"]})  # fmt: skip
    assert stats.told_apart(swapped.leakage, leaks, PASSED) == "not_told_apart"


def test_the_published_spread_is_that_of_subsets():
    random = np.random.default_rng(2)
    x, y = random.standard_normal(60) + 1, random.standard_normal(80)
    found, again = (stats.leakage(x, y, fpr=0.1, seed=4).published for _ in range(2))
    assert found == again
    rng = np.random.default_rng(4)
    rates = [stats.tpr_at_fpr(rng.permutation(x)[:30], rng.permutation(y)[:30], fpr=0.1) for _ in range(100)]
    assert (found.mean, found.std) == pytest.approx((np.mean(rates), np.std(rates, ddof=1)))


def test_the_likelihood_ratio_is_that_of_the_densities():
    random = np.random.default_rng(3)
    x, y, values = random.normal(-1, 1, 300), random.normal(1, 1, 400), np.linspace(-2, 2, 9)

    def log_density(known, at):
        width = len(known) ** -0.2 * known.std(ddof=1)
        return np.log(norm.pdf(at[:, None], known, width).mean(1))

    found = stats.likelihood_ratio(x, y, values)
    np.testing.assert_allclose(found, log_density(x, values) - log_density(y, values), rtol=1e-9)
    np.testing.assert_allclose(found, -2 * values, atol=0.7)  # of the two normals
    with pytest.raises(InputError, match="members"):
        stats.likelihood_ratio(np.ones(9), y, values)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(20, 30), (60, 80)])
def test_nothing_is_told_apart_where_nothing_was_trained_on(n, m, unchecked):
    runs, told = 400, 0
    for seed in range(runs):
        random = np.random.default_rng(seed)
        members, nonmembers = (drawn(random, count, 24, schedules=2) for count in (n, m))
        found = best(members, nonmembers, seed).leakage
        told += stats.told_apart(found, found, PASSED) == "told_apart"
    print(f"{n} against {m}: {told} of {runs} told apart")
    assert told <= runs * 0.025 + 3 * np.sqrt(runs * 0.025)
