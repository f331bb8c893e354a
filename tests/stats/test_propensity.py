"""Log-odds of Gaussians, and components, in closed form."""

import numpy as np
import pytest

from jaxaudit.stats.propensity import leading_components, log_odds, positions, propensity_columns


def test_log_odds_are_those_of_two_gaussians():
    rng = np.random.default_rng(0)
    in_p = rng.random(20_000) < 0.5
    x = rng.normal(0, 1, (20_000, 2)) * np.where(in_p, 1.0, 1.5)[:, None] + in_p[:, None] * [1.0, 0.0]
    true = np.log(1.5**2) - ((x - [1, 0]) ** 2).sum(1) / 2 + (x**2).sum(1) / (2 * 1.5**2)
    found = log_odds(propensity_columns(x), in_p, np.arange(10_000))
    assert np.corrcoef(found[10_000:], true[10_000:])[0, 1] > 0.98
    assert np.abs(found - true)[10_000:].mean() < 0.2


def test_columns_do_not_depend_on_units_and_leave_out_what_is_constant():
    x = np.random.default_rng(0).normal(0, 1, (50, 3))
    columns = propensity_columns(np.c_[x, np.ones(50)])
    assert columns.shape == (50, 6)
    np.testing.assert_allclose(columns, propensity_columns(np.exp(x)))
    np.testing.assert_allclose(columns.std(axis=0), 1)


def test_components_are_those_of_the_singular_value_decomposition():
    x = np.random.default_rng(0).normal(0, 1, (40, 5)) * [5, 4, 3, 2, 1]
    left, values, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    found = leading_components(x, 3)
    np.testing.assert_allclose(abs(found), abs(left[:, :3] * values[:3]))


def test_components_of_rounding_are_left_out():
    x = np.random.default_rng(0).normal(0, 1, (40, 2))
    assert leading_components(np.c_[x, x @ [[1.0], [2.0]]], 3).shape == (40, 2)
    assert leading_components(np.ones((40, 3)), 3).shape == (40, 0)


def test_positions_have_unit_length_on_average():
    found = positions(np.random.default_rng(0).normal(0, 1, (60, 30)))
    assert found.shape == (60, 16)
    assert np.mean(np.sum(found**2, axis=1)) == pytest.approx(1)
