"""Many scores side by side: what is measured on what, how the best is chosen, and how often it misleads."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.results import encode
from jaxaudit.stats import auc, auc_interval, leaderboard, tpr_at_fpr, tpr_at_fpr_interval
from jaxaudit.stats.membership import selection_split

PASSES = {"loss": 1, "zlib": 1, "secmi": 12, "pia": 2, "costly": 20}


def scores(shifts, n=90, m=120, seed=0):
    rng = np.random.default_rng(seed)
    members = {name: rng.normal(shift, 1, n) for name, shift in shifts.items()}
    return members, {name: rng.normal(0, 1, m) for name in shifts}


SIDES = scores({"loss": 1.0, "zlib": 0.5, "secmi": 3.0, "pia": 0.0, "costly": 1.0})


def test_every_score_is_measured_on_all_and_listed_by_area():
    found = leaderboard(*SIDES, PASSES)
    members, nonmembers = SIDES
    for name, entry in found.entries.items():
        assert entry.passes == PASSES[name]
        assert entry.auc == auc_interval(members[name], nonmembers[name])
        for fpr in (0.01, 0.001):
            assert entry.tpr_at_fpr[fpr] == tpr_at_fpr_interval(members[name], nonmembers[name], fpr=fpr)
    areas = [entry.auc.estimate for entry in found.entries.values()]
    assert areas == sorted(areas, reverse=True)
    assert (found.num_members, found.num_nonmembers) == (90, 120)
    encode(found)


def test_the_frontier_is_chosen_on_a_third_and_measured_on_the_rest():
    """An oracle: for every budget, the strongest affordable score of the third; where it changes."""
    found = leaderboard(*SIDES, PASSES, seed=5)
    (choose, report), (choose_other, report_other) = selection_split(90, 120, 5)
    members, nonmembers = SIDES

    def strength(name):
        x, y = members[name][choose], nonmembers[name][choose_other]
        return tpr_at_fpr(x, y, fpr=0.01), auc(x, y)

    best = []
    for budget in sorted(set(PASSES.values())):
        affordable = [name for name in members if PASSES[name] <= budget]
        strongest = max(affordable, key=strength)
        if not best or strength(strongest) > strength(best[-1]):
            best.append(strongest)
    assert [point.score for point in found.frontier] == best == ["loss", "secmi"]
    for point in found.frontier:
        x, y = members[point.score][report], nonmembers[point.score][report_other]
        assert point.found.auc == auc_interval(x, y, confidence=1 - 0.05 / len(best))
        assert point.found.tpr_at_fpr[0.01] == tpr_at_fpr_interval(x, y, fpr=0.01, confidence=0.975)
    assert (found.num_measured_members, found.num_measured_nonmembers) == (60, 80)


def test_what_the_measured_rows_say_cannot_change_the_choice():
    members, nonmembers = scores({"loss": 1.0, "zlib": 0.9}, seed=3)
    (_, report), _ = selection_split(90, 120, 0)
    before = leaderboard(members, nonmembers, {"loss": 1, "zlib": 1}).frontier
    for name in members:
        members[name][report] = -9.0
    after = leaderboard(members, nonmembers, {"loss": 1, "zlib": 1}).frontier
    assert [point.score for point in after] == [point.score for point in before]
    assert after[-1].found.auc.estimate < 0.01 < before[-1].found.auc.estimate


def test_a_fitted_score_is_measured_where_its_fit_has_not_been():
    found = leaderboard(*SIDES, PASSES, fitted=("loss",), seed=2)
    (_, report), (_, report_other) = selection_split(90, 120, 2)
    members, nonmembers = SIDES
    assert found.entries["loss"].auc == auc_interval(
        members["loss"][report], nonmembers["loss"][report_other]
    )
    assert found.entries["zlib"].auc == auc_interval(members["zlib"], nonmembers["zlib"])


def test_of_equal_scores_the_cheaper_is_taken():
    members, nonmembers = scores({"costly": 2.0})
    twice = {"costly": members["costly"], "cheap": members["costly"]}
    others = {"costly": nonmembers["costly"], "cheap": nonmembers["costly"]}
    assert [p.score for p in leaderboard(twice, others, {"costly": 9, "cheap": 2}).frontier] == ["cheap"]


def test_refuses_what_does_not_fit():
    members, nonmembers = SIDES
    with pytest.raises(InputError, match="no score to list"):
        leaderboard({}, {}, {})
    with pytest.raises(InputError, match="'zlib' is there for only one of members and nonmembers"):
        leaderboard(members, {k: v for k, v in nonmembers.items() if k != "zlib"}, PASSES)
    with pytest.raises(InputError, match="'pia' is there for only one of members and costs"):
        leaderboard(members, nonmembers, {k: v for k, v in PASSES.items() if k != "pia"})
    with pytest.raises(InputError, match="NaN or infinite"):
        leaderboard({**members, "pia": np.full(90, np.nan)}, nonmembers, PASSES)


def misled(repetitions, num_scores=60, n=150, correlation=0.5):
    """{what is said: how often it is that a score tells members apart, where none does}."""
    said = dict.fromkeys(("the largest of the table", "the best, held out", "any point of the frontier"), 0)
    names = [f"s{i}" for i in range(num_scores)]
    passes = {name: 2 ** (i % 5) for i, name in enumerate(names)}
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        sides = []
        for _ in range(2):
            common = np.sqrt(correlation) * rng.standard_normal(n)
            sides.append({k: common + np.sqrt(1 - correlation) * rng.standard_normal(n) for k in names})
        found = leaderboard(*sides, passes, fprs=(0.01,), seed=seed)
        first = next(iter(found.entries.values()))
        said["the largest of the table"] += first.auc.low > 0.5
        said["the best, held out"] += found.frontier[-1].found.auc.low > 0.5
        said["any point of the frontier"] += any(point.found.auc.low > 0.5 for point in found.frontier)
    return {what: count / repetitions for what, count in said.items()}


@pytest.mark.slow
def test_the_best_of_sixty_useless_scores_is_not_said_to_find_members(unchecked):
    rates = misled(200)
    print(rates)
    assert rates["the largest of the table"] > 0.15  # what choosing and measuring on the same pictures does
    assert rates["the best, held out"] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 200)
    assert rates["any point of the frontier"] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 200)
