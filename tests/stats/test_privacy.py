"""What noise guarantees: closed forms, slow oracles, the values of another accountant."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as reference

from jaxaudit.errors import InputError
from jaxaudit.results import NoisyStage
from jaxaudit.stats import gaussian_epsilon, training_epsilon
from jaxaudit.stats.privacy import renyi_divergences

LAW = reference.norm


@pytest.mark.parametrize("mu", [0.1, 1.0, 6.0, 40.0])
def test_the_gaussian_epsilon_solves_its_equation(mu):
    epsilon = gaussian_epsilon(mu, delta=1e-5)
    gained, paid = LAW.logcdf(mu / 2 - epsilon / mu), epsilon + LAW.logcdf(-mu / 2 - epsilon / mu)
    assert math.exp(gained) - math.exp(paid) == pytest.approx(1e-5, rel=1e-6)


def test_little_signal_is_hidden_by_delta():
    """The total variation of N(0, 1) and N(mu, 1) is 2 Phi(mu/2) - 1, about 0.4 mu."""
    assert gaussian_epsilon(2.4e-5, delta=1e-5) == 0
    assert gaussian_epsilon(2.6e-5, delta=1e-5) > 0


def test_without_sampling_steps_add_up_exactly():
    stages = [NoisyStage(2.0, 1.0, 8), NoisyStage(1.0, 1.0, 2)]  # mu^2 = 8/4 + 2
    assert training_epsilon(stages, delta=1e-6) == gaussian_epsilon(2.0, delta=1e-6)


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.05), (0.6, 0.3), (3.0, 0.5)])
def test_the_divergence_of_a_step_is_its_integral(noise, rate):
    """E over x ~ N(0, s^2) of ((1 - q) + q N(x; 1, s^2) / N(x; 0, s^2))^a."""
    for place, order in ((0, 2), (1, 3), (6, 8)):

        def part(x, order=order):
            ratio = 1 - rate + rate * np.exp((2 * x - 1) / (2 * noise**2))
            return ratio**order * LAW.pdf(x, scale=noise)

        whole, _ = integrate.quad(part, -12 * noise, order + 12 * noise, limit=200, epsrel=1e-10)
        found = renyi_divergences(NoisyStage(noise, rate, 1))[place]
        assert found == pytest.approx(math.log(whole) / (order - 1), rel=1e-6)


def test_with_a_rate_of_one_the_divergence_is_the_gaussian_one():
    assert renyi_divergences(NoisyStage(2.0, 1.0, 1))[3] == pytest.approx(5 / (2 * 2.0**2))


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "epsilon", "exact"),
    [(2.0, 0.01, 5000, 1.613129631, 1.477423), (4.0, 0.05, 100, 0.511619938, 0.461809)],
)
def test_another_accountant_says_the_same(noise, rate, steps, epsilon, exact):
    """dp-accounting 0.6.0 at delta 1e-5: its Renyi accountant, and the one of privacy losses, below it."""
    found = training_epsilon([NoisyStage(noise, rate, steps)], delta=1e-5)
    assert found == pytest.approx(epsilon, rel=1e-8)
    assert exact < found < 1.15 * exact


def test_less_sampling_more_noise_and_fewer_steps_are_more_private():
    def epsilon(noise=1.0, rate=0.1, steps=100):
        return training_epsilon([NoisyStage(noise, rate, steps)], delta=1e-5)

    assert epsilon(rate=0.05) < epsilon() < epsilon(rate=0.99)
    assert epsilon(noise=2.0) < epsilon() < epsilon(noise=0.5)
    assert epsilon(steps=50) < epsilon() < epsilon(steps=200)
    halves = training_epsilon([NoisyStage(1.0, 0.1, 50)] * 2, delta=1e-5)
    assert halves == pytest.approx(epsilon())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("stage", "delta", "message"),
    [
        ((0.0, 0.5, 1), 1e-5, "noise_multiplier=0.0 is no positive number"),
        ((1.0, 1.5, 1), 1e-5, "sampling_rate=1.5 is no probability"),
        ((1.0, 0.5, 0), 1e-5, "steps=0 is no number of steps"),
        ((1.0, 0.5, 1), 0.0, "delta=0.0 is not between 0 and 1"),
        ((1.0, 1.0, 1), 1.0, "delta=1.0 is not between 0 and 1"),
    ],
)
def test_refuses_what_is_no_mechanism(stage, delta, message):
    with pytest.raises(InputError, match=message):
        training_epsilon([NoisyStage(*stage)], delta=delta)
    with pytest.raises(InputError, match="without a stage"):
        training_epsilon([], delta=1e-5)
    with pytest.raises(InputError, match="mu=0.0 is no positive number"):
        gaussian_epsilon(0.0, delta=1e-5)
