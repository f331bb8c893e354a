"""E-values: the integral they are, their mean under the null, stopping at will, and a history that holds."""

import numpy as np
import pytest
from scipy import integrate

from jaxaudit.errors import InputError
from jaxaudit.results import replace
from jaxaudit.stats import ask_again, calibrate, check_history, combine_history


def test_calibrator_is_the_mixture_of_powers():
    for p in (1e-6, 0.01, 0.3, 0.9, 0.9995, 1 - 1e-9, 1.0):
        expected, _ = integrate.quad(lambda k, p=p: k * p ** (k - 1), 0, 1)
        assert calibrate(p) == pytest.approx(expected, rel=1e-8)
    p = np.linspace(0.0001, 1, 10_000)
    assert np.all(np.diff(calibrate(p)) < 0)
    assert calibrate(1e-4) == pytest.approx(118, abs=0.5)
    log_p = np.linspace(-400, 0, 400_001)
    missing = 1 / 400  # integral of 1 / (p ln² p) below exp(-400)
    assert integrate.trapezoid(calibrate(np.exp(log_p)) * np.exp(log_p), log_p) == pytest.approx(
        1 - missing, abs=1e-4
    )


@pytest.mark.parametrize("permutations", [9, 99, 999, 9_999])
def test_discrete_p_values_bring_at_most_one_on_average(permutations):
    p = np.arange(1, permutations + 2) / (permutations + 1)
    mean = np.mean(calibrate(p))
    assert 0.6 < mean <= 1
    skewed = np.minimum(p * 1.5, 1)  # conservative p-values bring less
    assert np.mean(calibrate(skewed)) < mean


def permutation_p_values(rng, repetitions, blocks, shift=0.0, n=10, permutations=99):
    """One-sided p of the difference of means, by permutation, for independent blocks of n against n."""
    scores = rng.standard_normal((repetitions * blocks, 2 * n))
    scores[:, :n] += shift
    splits = rng.permuted(np.tile(np.repeat([1.0, -1.0], n), (permutations, 1)), axis=1)
    observed = scores[:, :n].sum(axis=1) - scores[:, n:].sum(axis=1)
    reached = np.sum(scores @ splits.T >= observed[:, None] - 1e-9, axis=1)
    return ((1 + reached) / (1 + permutations)).reshape(repetitions, blocks)


def test_stopping_when_it_suits_keeps_the_error_and_members_are_found():
    rng, alpha = np.random.default_rng(0), 0.05
    null = permutation_p_values(rng, 4000, 12)
    e = calibrate(null)
    assert np.mean(e) < 1 + 3 * e.std() / np.sqrt(e.size)
    largest = np.cumprod(e, axis=1).max(axis=1)  # stops at the best moment there ever is
    assert np.mean(largest >= 1 / alpha) <= alpha
    assert np.mean(np.any(null <= alpha, axis=1)) > 0.3  # what asking again costs without
    found = np.cumprod(calibrate(permutation_p_values(rng, 300, 12, shift=0.8)), axis=1)
    assert np.mean(found.max(axis=1) >= 1 / alpha) > 0.9


def asked(p_values, plan="plan"):
    history = ()
    for number, p in enumerate(p_values):
        history = ask_again(history, [f"p{number}", f"u{number}"], p, plan=plan)
    return history


def test_history_combines_and_counts_the_best_moment():
    history = asked([0.02, 0.001, 0.9])
    result = combine_history(history, alpha=0.01, plan="plan")
    e = [calibrate(p) for p in (0.02, 0.001, 0.9)]
    np.testing.assert_allclose(result.wealth, np.cumprod(e))
    assert result.e_value == pytest.approx(e[0] * e[1])
    assert result.wealth[-1] < result.e_value
    assert result.p_value == pytest.approx(1 / result.e_value)
    assert result.rejected == (e[0] * e[1] >= 100)
    assert combine_history(asked([0.7]), plan="plan").p_value == 1
    assert np.isfinite(combine_history(asked([1e-200] * 4), plan="plan").e_value)


def test_the_last_bits_of_an_e_value_are_those_of_a_processor():
    (question,) = asked([0.0415])
    elsewhere = replace(question, e_value=float(np.nextafter(question.e_value, 9)))
    assert combine_history([elsewhere], plan="plan").questions == (elsewhere,)
    with pytest.raises(InputError, match="does not follow"):
        combine_history([replace(question, e_value=1.001 * question.e_value)], plan="plan")


def test_pictures_may_be_asked_about_once():
    history = asked([0.02])
    with pytest.raises(InputError, match=r"1 pictures of question 2 were asked about before \(first 'u0'\)"):
        ask_again(history, ["p1", "u0"], 0.5, plan="plan")
    with pytest.raises(InputError, match="1 pictures of question 1 were asked about before"):
        ask_again((), ["a", "a"], 0.5)
    with pytest.raises(InputError, match="Question 1 has no pictures"):
        ask_again((), [], 0.5)
    with pytest.raises(InputError, match="above 0 and up to 1"):
        ask_again((), ["a"], 0.0)
    with pytest.raises(InputError, match="Nothing was asked yet"):
        combine_history(())


@pytest.mark.parametrize(
    "changed",
    [
        lambda history: history[1:],
        lambda history: (history[0], history[2]),
        lambda history: history[::-1],
        lambda history: (history[0], replace(history[1], p_value=0.001), history[2]),
        lambda history: (replace(history[0], e_value=50.0), *history[1:]),
        lambda history: (replace(history[0], pictures=("p0",)), *history[1:]),
    ],
)
def test_a_changed_history_is_refused(changed):
    history = asked([0.02, 0.8, 0.3])
    check_history(history, plan="plan")
    with pytest.raises(InputError, match="does not follow from the plan"):
        check_history(changed(history), plan="plan")
    with pytest.raises(InputError, match=r"Question 1 of 3 does not follow from the plan 'other'"):
        combine_history(history, plan="other")
