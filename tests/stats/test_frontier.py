import itertools

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats import tpr_at_fpr_interval
from jaxaudit.stats.adaptive import View, attacks_on, choose, halves
from jaxaudit.stats.frontier import at_no_more_loss, effect, frontier, queries_back

NOTHING = Interval(0.0, 0.0, 1.0)


def test_the_frontier_is_what_nothing_dominates():
    rng = np.random.default_rng(0)
    loss, leak = rng.integers(0, 6, (2, 30)).astype(float)
    for i, on in enumerate(frontier(loss, leak)):
        beaten = any(
            loss[j] <= loss[i] and leak[j] <= leak[i] and (loss[j], leak[j]) != (loss[i], leak[i])
            for j in range(30)
        )
        assert on == (not beaten)
    assert frontier(np.ones(3), np.ones(3)).all()


def test_between_two_points_a_curve_is_straight_and_a_baseline_is_given_its_best():
    loss, leak = np.array([3.0, 4.0, 3.5]), np.array([1.0, 0.2, 0.1])
    assert at_no_more_loss(loss, leak, 3.25) == pytest.approx(0.8)
    assert at_no_more_loss(loss, leak, 3.6) == pytest.approx(0.1)
    assert at_no_more_loss(loss, leak, 9.0) == pytest.approx(0.1)
    assert at_no_more_loss(loss, leak, 2.9) is None
    with pytest.raises(InputError, match="is none"):
        at_no_more_loss(np.zeros(0), np.zeros(0), 1.0)


def test_more_loss_never_makes_a_baseline_leak_more():
    rng = np.random.default_rng(1)
    loss, leak = rng.random((2, 6))
    found = [at_no_more_loss(loss, leak, wanted) for wanted in np.linspace(loss.min(), 1.0, 40)]
    assert all(a >= b for a, b in itertools.pairwise(found))


def test_a_defence_that_moves_the_frozen_attacker_alone_is_none():
    high, low = Interval(0.9, 0.85, 0.95), Interval(0.1, 0.05, 0.2)
    before = {"A0": high, "A2": high}
    assert effect(before, {"A0": low, "A2": low}) == "protects"
    assert effect(before, {"A0": low, "A2": high}) == "none"
    assert effect(before, {"A0": high, "A2": high}) == "not shown"


def test_the_fewest_answers_that_reach_the_undefended_interval():
    before = Interval(0.9, 0.85, 0.95)
    steps = [
        (count, Interval(rate, 0.0, 1.0)) for count, rate in ((1, 0.1), (4, 0.84), (16, 0.85), (64, 0.9))
    ]
    assert queries_back(before, steps) == 16
    assert queries_back(before, steps[:2]) is None


@pytest.mark.slow
def test_a_defence_that_does_nothing_seldom_protects(unchecked):
    """200 models are asked twice, 800 pictures a side; the second scores are other ones, and as good."""
    rng, called, room = np.random.default_rng(0), 0, 0
    names = [f"s{i}" for i in range(4)]
    for seed in range(200):
        split, found = halves(800, 800, seed=seed), []
        for _ in range(2):
            sides = rng.standard_normal((2, 4, 800)) + np.array([2.0, 0.0])[:, None, None]
            view = View(*(dict(zip(names, side, strict=True)) for side in sides))
            single = choose(attacks_on({"asked": view}, split), split).single
            found.append({"A0": NOTHING, "A2": tpr_at_fpr_interval(*single.of(split.test))})
        room += found[0]["A2"].low > 0.2
        called += effect(*found) == "protects"
    assert called / 200 < 0.025
    assert room > 100  # else nothing could be less
