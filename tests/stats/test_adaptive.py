import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jaxaudit.errors import InputError
from jaxaudit.stats import auc, tpr_at_fpr_interval, usage_bound
from jaxaudit.stats.adaptive import COMBINED, View, attacks_on, choose, frozen, halves, refitted
from jaxaudit.stats.adaptive_extraction import adaptive_extraction

N, M = 300, 290
SPLIT = halves(N, M, seed=0)


def view(shift, *, seed=0, features=2, noise=0.0):
    rng = np.random.default_rng(seed)

    def side(count, shift):
        x = rng.standard_normal((count, features)) + shift
        return {f"s{i}": column for i, column in enumerate((x + noise * rng.standard_normal(x.shape)).T)}

    return View(side(N, shift), side(M, 0.0))


def test_halves_share_no_row_and_leave_none_out():
    for known, test, count in zip(SPLIT.known, SPLIT.test, (N, M), strict=True):
        assert sorted([*known, *test]) == list(range(count))
        assert len(known) - len(test) in (0, 1)
    with pytest.raises(InputError, match="at least 20 members"):
        halves(19, 300, seed=0)


def test_the_combination_is_a_logistic_regression_on_the_known_half():
    some = view(1.0, features=3)
    attack = attacks_on({"asked": some}, SPLIT)[-1]
    assert attack.name == f"asked: {COMBINED}"
    x, y = (np.stack(list(side.values()), axis=1) for side in (some.members, some.nonmembers))
    known = np.concatenate([x[SPLIT.known[0]], y[SPLIT.known[1]]])
    mean, std = known.mean(0), known.std(0)
    fit = LogisticRegression(
        C=1 / (0.1 * len(known)), solver="liblinear", intercept_scaling=np.sqrt(0.1 * len(known)), tol=1e-10
    )
    fit.fit((known - mean) / std, np.arange(len(known)) < len(SPLIT.known[0]))
    wanted = fit.decision_function((x[SPLIT.test[0]] - mean) / std)
    np.testing.assert_allclose(attack.members[SPLIT.test[0]], wanted, rtol=1e-5, atol=1e-6)


def test_of_its_own_half_the_attacker_sees_scores_of_fits_that_have_not_seen_it():
    nothing = view(0.0, features=60)
    attack = attacks_on({"asked": nothing}, SPLIT)[-1]
    assert abs(auc(*attack.of(SPLIT.known)) - 0.5) < 0.12  # in sample it is above 0.7
    again = [side[rows] for side, rows in zip(attack.again(nothing), SPLIT.known, strict=True)]
    assert auc(*again) > 0.7


def test_a_frozen_threshold_misses_what_a_new_one_finds():
    """A defence that lowers all scores alike hides nothing from whoever looks again."""
    before = view(3.0)
    after = View(*({name: x - 4 for name, x in side.items()} for side in (before.members, before.nonmembers)))
    chosen = choose(attacks_on({"asked": before}, SPLIT), SPLIT)
    first, shifted = frozen(chosen, before, SPLIT), frozen(chosen, after, SPLIT)
    assert first.tpr.estimate > 0.8
    assert first.fpr < 0.05
    assert shifted.tpr.estimate < 0.1
    adapted = refitted("A1", choose(attacks_on({"asked": after}, SPLIT), SPLIT), SPLIT)
    assert adapted.tpr.estimate == pytest.approx(first.tpr.estimate, abs=0.1)
    assert adapted.fpr == 0.01
    assert adapted.needed == first.needed


def test_who_asks_in_more_ways_finds_more():
    noisy, clear = view(3.0, noise=4.0), view(3.0)
    plain, more = attacks_on({"once": noisy}, SPLIT), attacks_on({"mean of 16": clear}, SPLIT)
    once, often = (refitted("A2", choose(some, SPLIT), SPLIT) for some in (plain, plain + more))
    assert often.attack.startswith("mean of 16: ")
    assert often.tpr.estimate > once.tpr.high
    assert often.at_least > once.at_least
    assert often.needed.estimate < once.needed.estimate


def test_a_score_that_is_missing_is_named():
    chosen = choose(attacks_on({"asked": view(1.0)}, SPLIT)[-1:], SPLIT)
    with pytest.raises(InputError, match="Score 's1' is not there for every view"):
        frozen(chosen, view(1.0, features=1), SPLIT)


def test_extraction_is_chosen_on_one_half_and_counted_on_the_other():
    """Greedy brings a fifth back, sampling half; one held-out image of the known half sets the bar."""
    greedy = np.where(np.arange(N) % 5 == 0, 0.0, -np.inf), np.full(M, -np.inf)
    held_out = np.full(M, -40.0)
    held_out[SPLIT.known[1][0]] = -12.0
    members = np.where(np.arange(N) % 2 == 0, -5.0, -12.5)
    found = adaptive_extraction(
        {"greedy": greedy, "sampling": (members, held_out)}, SPLIT, most_tries=1_000_000
    )
    assert found.attack == "sampling"
    assert (found.count, found.images) == (int(np.sum(SPLIT.test[0] % 2 == 0)), len(SPLIT.test[0]))
    assert found.share.low < found.count / found.images < found.share.high
    assert (found.false_positives, found.held_out) == (0, len(SPLIT.test[1]))
    fewer = adaptive_extraction({"greedy": greedy, "sampling": (members, held_out)}, SPLIT, most_tries=10)
    assert fewer.attack == "greedy"


@pytest.mark.slow
def test_where_nothing_was_trained_on_attackers_find_no_more_than_chance(unchecked):
    """200 null models: choosing among 12 attacks raises neither the TPR nor the bound on the share.

    Above the second largest of 145 nonmembers are 2 / 146 of all pictures, whatever the score.
    """
    tprs, bounds = [], []
    for seed in range(200):
        views = {"once": view(0.0, seed=seed, features=5), "again": view(0.0, seed=seed + 9_999, features=5)}
        split = halves(N, M, seed=seed)
        chosen = choose(attacks_on(views, split), split)
        tprs.append(tpr_at_fpr_interval(*chosen.single.of(split.test)))
        bounds.append(usage_bound(*chosen.share.of(split.test)))
    estimates = [tpr.estimate for tpr in tprs]
    assert abs(np.mean(estimates) - 2 / 146) < 3 * np.std(estimates) / np.sqrt(200)
    assert np.mean([tpr.low <= 0.01 <= tpr.high for tpr in tprs]) > 0.93
    assert np.mean([bound > 0 for bound in bounds]) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
