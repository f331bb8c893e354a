import numpy as np
import pytest
from scipy.special import ndtr

from jaxaudit.errors import InputError
from jaxaudit.stats import COMBINATIONS, combine_p_values


def test_rules():
    p = np.array([[0.01, 0.02, 0.06], [0.9, 0.8, 0.7]])
    expected = {
        "twice_mean": [0.06, 1],
        "twice_median": [0.04, 1],
        "bonferroni": [0.03, 1],
        "mean": [0.03, 0.8],
    }
    assert set(expected) == set(COMBINATIONS)
    for rule, values in expected.items():
        np.testing.assert_allclose(combine_p_values(p, rule=rule), values)
        assert combine_p_values(np.array([0.2]), rule=rule) == 0.2


def worst_case(rng, samples):
    """Two p-values, each uniform, whose mean is a as often as possible: p and 2a - p go together."""
    a = 0.05
    p = rng.uniform(size=samples)
    return np.stack([p, np.where(p < 2 * a, 2 * a - p, p)], axis=1), a


def test_twice_the_mean_is_needed():
    p, a = worst_case(np.random.default_rng(0), 200_000)
    for j in range(2):  # each is a p-value
        for level in (0.01, a, 0.3):
            assert np.mean(p[:, j] <= level) == pytest.approx(level, abs=0.003)
    assert np.mean(combine_p_values(p, rule="mean") <= a + 1e-9) == pytest.approx(2 * a, abs=0.003)
    assert np.mean(combine_p_values(p, rule="twice_mean") <= 2 * a + 1e-9) == pytest.approx(2 * a, abs=0.003)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("rule", ["twice_mean", "twice_median", "bonferroni"])
def test_combined_p_values_are_p_values(rule, correlation):
    rng = np.random.default_rng(1)
    z = np.sqrt(correlation) * rng.standard_normal((50_000, 1)) + np.sqrt(
        1 - correlation
    ) * rng.standard_normal((50_000, 7))
    combined = combine_p_values(ndtr(z), rule=rule)
    for level in (0.01, 0.05, 0.2):
        assert np.mean(combined <= level) <= level + 0.003


@pytest.mark.usefixtures("unchecked")
def test_errors():
    with pytest.raises(InputError, match="Unknown rule to combine p-values 'median'; did you mean"):
        combine_p_values([0.1, 0.2], rule="median")
    for wrong in ([], [0.1, np.nan], [1.1], 0.3):
        with pytest.raises(InputError, match="one or more numbers from 0 to 1"):
            combine_p_values(wrong)
