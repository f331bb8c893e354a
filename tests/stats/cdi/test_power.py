"""Sizes that CDI needs: against repeated tests, on and beyond the samples at hand."""

import math

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED_FOLDS
from jaxaudit.stats import forecast_samples, identification_power, identify
from jaxaudit.stats.cdi.forecast import _samples_for, _two_digits
from tests.golden import weights
from tests.stats import simulated

_, IO = weights.load("dataset_inference")


def sets(seed, n, m, shift=0.5, features=8):
    rng = np.random.default_rng(seed)
    return simulated.features(rng, (n, features), "skewed", shift), simulated.features(
        rng, (m, features), "skewed"
    )


@pytest.mark.slow
def test_power_is_the_share_of_fresh_data_sets_in_which_identify_rejects():
    curve = identification_power(*sets(0, 4000, 4000), grid=(9, 40, 100, 5000), repetitions=300)
    assert [point.n for point in curve.points] == [40, 100]
    assert (curve.test, curve.criterion, curve.num_p) == ("split", "power", 4000)
    for point in curve.points:
        fresh = [
            identify(*sets(1000 + seed, point.n, point.n), permutations=199).rejected for seed in range(150)
        ]
        assert point.rejection_rate.low - 0.06 < np.mean(fresh) < point.rejection_rate.high + 0.06


def test_published_requirement():
    curve = identification_power(
        IO["members"], IO["nonmembers"], procedure=PUBLISHED_FOLDS, repetitions=60, grid=(50, 200, 1000)
    )
    for point in curve.points:
        recorded = IO[f"cdi_p_two_sided_n{point.n}"]  # 3 to 5 draws
        assert abs(point.mean_p - recorded.mean()) < 3 * max(np.std(recorded), 0.02)
    means = [point.mean_p for point in curve.points]
    assert means == sorted(means, reverse=True)
    assert curve.required.estimate is None or means[-1] <= 0.01


def test_enough_samples_are_measured():
    p, u = sets(1, 400, 300, shift=1.2)
    result = forecast_samples(p, u, repetitions=200)
    assert result.enough
    rates = {point.n: point.rejection_rate.estimate for point in result.curve.points}
    assert result.estimate == min(n for n, rate in rates.items() if rate >= 0.8)
    assert 300 in rates
    assert result.sentence.startswith(
        f"{result.estimate} images of P and as many of U are enough to identify P"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_too_few_samples_are_continued_to_about_the_number_needed():
    p, u = sets(2, 6000, 6000, shift=0.4, features=12)
    true = identification_power(p, u, grid=range(50, 1000, 50), repetitions=200).required.estimate
    estimates, held = [], []
    for part in range(20):
        rows = slice(part * true // 3, (part + 1) * true // 3)
        result = forecast_samples(p[rows], u[rows], repetitions=60, seed=part)
        if not result.enough:
            estimates.append(result.estimate or np.inf)
            held.append((result.low or 0) <= true <= (result.high or np.inf))
            assert f"{len(p[rows])} images are too few" in result.sentence
    assert len(estimates) >= 15
    assert true / 2 < np.median(estimates) < true * 2
    assert np.mean(held) >= 0.8


def test_without_a_sign_no_number_is_made_up():
    rng = np.random.default_rng(3)
    u = rng.standard_normal((12, 3))
    p = u + 1e-3 * rng.standard_normal((12, 3))  # differs in nothing
    result = forecast_samples(p, u, repetitions=60)
    assert (result.enough, result.estimate, result.high) == (False, None, None)
    assert "12 images are too few, and show no sign from which to tell" in result.sentence


def test_the_continuation_is_consistent():
    goal, weights_ = 3.168, 10.0  # 1% level, 80% power
    for t in (0.5, 1.5, 3.0):
        n = _samples_for(goal, t, 40, weights_)
        assert n > 80
        c = n / 2  # with t there the goal is reached with as many
        assert _samples_for(goal, goal, c, weights_) == pytest.approx(n, rel=1e-6)
    assert _samples_for(goal, goal, 40, weights_) == pytest.approx(80, rel=1e-6)
    assert _samples_for(goal, 0.0, 40, weights_) == np.inf
    assert _samples_for(goal, 1e-9, 40, weights_) == np.inf
    assert (
        _two_digits(1234.5, math.ceil),
        _two_digits(7.2, math.ceil),
        _two_digits(math.inf, math.ceil),
    ) == (
        1300,
        8,
        None,
    )


def test_errors():
    p, u = sets(4, 30, 30)
    with pytest.raises(InputError, match=r"No size of the grid lies between 10, .* and 9"):
        forecast_samples(p[:9], u)
    with pytest.raises(InputError, match="power=0 is not between"):
        forecast_samples(p, u, power=0)
