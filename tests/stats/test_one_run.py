"""Epsilon from one run: published values, mechanisms whose epsilon is known, what must not be accused."""

import numpy as np
import pytest
from scipy import stats as reference

from jaxaudit.errors import InputError
from jaxaudit.stats import one_run_epsilon
from jaxaudit.stats.one_run import one_run_p_value


def slow_p_value(epsilon, guesses, right, canaries, delta):
    """Equation (1), term by term."""
    law = reference.binom(guesses, np.exp(epsilon) / (1 + np.exp(epsilon)))
    reached = sum(law.pmf(b) for b in range(right, guesses + 1))
    terms = [sum(law.pmf(b) for b in range(right - i, right)) / i for i in range(1, right + 1)]
    return min(1.0, reached + 2 * canaries * delta * max(terms))


def randomised_response(rng, canaries, epsilon):
    """Scores that tell each coin truly with probability e^eps / (1 + e^eps): epsilon-private, exactly."""
    included = rng.random(canaries) < 0.5
    truly = rng.random(canaries) < np.exp(epsilon) / (1 + np.exp(epsilon))
    told = np.where(truly, included, ~included)
    return told + 1e-3 * rng.random(canaries), included


def test_the_p_value_is_its_definition():
    for epsilon, guesses, right, delta in [(0.5, 20, 15, 1e-3), (2.0, 40, 40, 1e-4), (0.0, 10, 5, 0.0)]:
        expected = slow_p_value(epsilon, guesses, right, 100, delta)
        assert one_run_p_value(epsilon, guesses, right, 100, delta) == pytest.approx(expected, rel=1e-9)


def test_without_delta_the_bound_is_the_limit_of_clopper_and_pearson():
    included = np.random.default_rng(7).random(60) < 0.5
    found = one_run_epsilon(np.where(np.arange(60) % 5 == 0, ~included, included) + 0.0, included, delta=0.0)
    share = reference.beta.ppf(0.05, found.right, found.guesses - found.right + 1)
    assert 0 < found.right < found.guesses
    assert found.epsilon == pytest.approx(np.log(share / (1 - share)))
    assert one_run_p_value(found.epsilon, found.guesses, found.right, 30, 0.0) == pytest.approx(0.05)


@pytest.mark.parametrize(("canaries", "most"), [(40, 1.8), (200, 3.5), (2000, 5.8)])
def test_no_run_shows_more_than_all_guesses_right(canaries, most):
    """r = 20, 100, 1,000 right guesses at 5% allow eps_L of 1.8, 3.5, 5.8."""
    included = np.random.default_rng(canaries).random(canaries) < 0.5
    found = one_run_epsilon(included.astype(float), included, delta=0.0, seed=1)
    assert found.right <= found.guesses <= canaries // 2
    assert 0.5 * most < found.epsilon <= most + 0.05


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("epsilon", [0.0, 2.0])
def test_a_private_mechanism_is_not_accused(epsilon):
    rng = np.random.default_rng(round(10 * epsilon))
    bounds = [
        one_run_epsilon(*randomised_response(rng, 300, epsilon), delta=1e-6, seed=trial).epsilon
        for trial in range(100)
    ]
    above = sum(bound > epsilon + 1e-9 for bound in bounds)
    assert reference.binomtest(above, 100, 0.05, alternative="greater").pvalue > 0.001
    assert epsilon == 0 or np.median(bounds) > 0.4 * epsilon


def test_a_gaussian_mechanism_stays_below_its_epsilon():
    """Sensitivity 1, noise 1: (eps, delta) by the analytic curve of Balle and Wang."""
    rng, delta = np.random.default_rng(3), 1e-5
    included = rng.random(2000) < 0.5
    found = one_run_epsilon(included + rng.standard_normal(2000), included, delta=delta)
    law = reference.norm
    curve = [law.cdf(0.5 - e) - np.exp(e) * law.cdf(-0.5 - e) for e in np.linspace(0, 6, 601)]
    epsilon = np.linspace(0, 6, 601)[np.argmax(np.array(curve) <= delta)]
    assert 0.3 < found.epsilon < epsilon


def test_coins_may_be_ones_and_zeros():
    included = np.random.default_rng(8).random(200) < 0.5
    scores = np.where(np.arange(200) % 5 == 0, ~included, included) + 0.0
    found = one_run_epsilon(scores, included, delta=0.0)
    assert found.right < found.guesses
    for kind in (int, np.uint8, float):
        assert one_run_epsilon(scores, included.astype(kind), delta=0.0) == found


@pytest.mark.parametrize("wrong", [2, -1, 0.5, np.nan])
def test_other_coins_are_refused(wrong):
    included = np.where(np.arange(40) == 7, wrong, np.arange(40) % 2)
    with pytest.raises(InputError, match=f"True or False, or 1 or 0; one says {wrong}"):
        one_run_epsilon(np.arange(40.0), included)


def test_a_score_that_points_the_wrong_way_shows_nothing():
    rng = np.random.default_rng(4)
    included = rng.random(400) < 0.5
    assert one_run_epsilon(-3.0 * included + rng.standard_normal(400), included).epsilon == 0


def test_the_best_score_of_the_tuning_half_is_measured_on_the_other():
    rng = np.random.default_rng(5)
    included = rng.random(300) < 0.5
    good, noise = included + 0.3 * rng.standard_normal(300), rng.standard_normal(300)
    found = one_run_epsilon({"noise": noise, "good": good}, included, seed=2)
    assert found == one_run_epsilon({"good": good}, included, seed=2)
    assert found.score == "good"
    share = max(found.tuning, key=lambda share: found.tuning[share])
    assert found.guesses == 2 * (int(share * found.num_guessed) // 2)
    assert one_run_epsilon(good, included, seed=2).score is None


@pytest.mark.usefixtures("unchecked")
def test_many_scores_of_nothing_show_nothing():
    """The best of three is chosen where it does not count."""
    rng = np.random.default_rng(6)

    def bound(trial):
        scores = {str(place): rng.standard_normal(80) for place in range(3)}
        return one_run_epsilon(scores, rng.random(80) < 0.5, delta=0.0, seed=trial).epsilon

    above = sum(bound(trial) > 0 for trial in range(40))
    assert reference.binomtest(above, 40, 0.05, alternative="greater").pvalue > 0.001


@pytest.mark.usefixtures("unchecked")
def test_refuses_what_is_no_coin():
    scores, coins = np.arange(40.0), np.arange(40) % 2 == 0
    for change, message in [
        ({"included": np.ones(40, bool)}, "All 40 canaries are in: no coin was flipped"),
        ({"included": coins[:30]}, "30 coins do not fit 40 canaries"),
        ({"scores": scores[:10], "included": coins[:10]}, "10 are too few; at least 20 canaries"),
        ({"delta": 1.0}, "delta=1.0 is no probability"),
        ({"confidence": 0.0}, "confidence=0.0"),
        ({"scores": {}}, "No score was given"),
        ({"scores": np.full(40, np.nan)}, "are NaN or infinite for 40 of 40"),
    ]:
        given = {"scores": scores, "included": coins, **change}
        with pytest.raises(InputError, match=message):
            one_run_epsilon(given.pop("scores"), given.pop("included"), **given)
