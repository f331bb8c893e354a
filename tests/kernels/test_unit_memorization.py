import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.unit_memorization import (
    merge,
    no_items,
    observe,
    rest_mean,
    selectivity,
    stage_means,
)


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).exponential(size=(23, 4, 6)).astype(np.float32)


def test_stage_means_are_means_of_absolute_values_over_groups_of_tokens():
    hidden = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    means = np.asarray(stage_means(jnp.asarray(hidden), (1, 2, 4)))
    assert means.shape == (2, 3, 3)
    for stage, (start, stop) in enumerate(((0, 1), (1, 3), (3, 7))):
        np.testing.assert_allclose(means[:, stage], np.abs(hidden[:, start:stop]).mean(1), rtol=1e-6)
    with pytest.raises(ValueError, match="do not add up to 7"):
        stage_means(jnp.asarray(hidden), (1, 2))


def test_selectivity_is_that_of_the_definition(values):
    found = selectivity(observe(no_items((4, 6)), values, np.arange(23)))
    for place in np.ndindex(4, 6):
        unit = values[(slice(None), *place)].astype(np.float64)
        largest = unit.argmax()
        rest = np.delete(unit, largest).mean()
        assert found[place] == pytest.approx((unit[largest] - rest) / (unit[largest] + rest), abs=1e-7)


def test_a_floor_holds_down_units_below_it_alone(values):
    statistics = observe(no_items((4, 6)), values, np.arange(23))
    published, both = selectivity(statistics), statistics.maximum + rest_mean(statistics)
    floor = np.where(np.arange(24).reshape(4, 6) % 2, both / 2, both * 4)
    np.testing.assert_allclose(selectivity(statistics, floor=floor)[:, 1::2], published[:, 1::2])
    np.testing.assert_allclose(selectivity(statistics, floor=floor)[:, ::2], published[:, ::2] / 4, rtol=1e-6)


def test_order_and_grouping_of_items_change_nothing(values):
    whole = observe(no_items((4, 6)), values, np.arange(23))
    order = np.random.default_rng(1).permutation(23)
    parts = [observe(no_items((4, 6)), values[rows], rows) for rows in np.array_split(order, 5)]
    merged = no_items((4, 6))
    for part in parts:
        merged = merge(merged, part)
    assert merged.count == whole.count
    np.testing.assert_array_equal(merged.maximum, whole.maximum)
    np.testing.assert_array_equal(whole.second, np.sort(values, axis=0)[-2])
    np.testing.assert_array_equal(merged.second, whole.second)
    np.testing.assert_array_equal(merged.argument, whole.argument)
    np.testing.assert_allclose(merged.total, whole.total, rtol=1e-14)
    assert [each.nbytes for each in merged[1:]] == [each.nbytes for each in parts[0][1:]]


def test_the_first_of_equal_items_is_named():
    equal = np.ones((3, 2), np.float32)
    later_first = observe(observe(no_items((2,)), equal, np.array([9, 4, 7])), equal, np.array([5, 2, 8]))
    assert later_first.argument.tolist() == [2, 2]
    assert later_first.second.tolist() == [1, 1]


def test_units_that_nothing_activates_memorise_nothing():
    statistics = observe(no_items((2,)), np.array([[0, 3], [0, 0], [0, 0]], np.float32), np.arange(3))
    assert selectivity(statistics).tolist() == [0.0, 1.0]
    assert statistics.argument.tolist() == [0, 0]
    assert statistics.mean.tolist() == [0.0, 1.0]


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_is_refused(values):
    one = observe(no_items((4, 6)), values[:1], np.array([0]))
    with pytest.raises(ValueError, match="leave none"):
        rest_mean(one)
    with pytest.raises(ValueError, match="do not fit"):
        observe(one, values, np.arange(3))
    for wrong in (-1.0, np.nan):
        with pytest.raises(ValueError, match="negative or not a number"):
            observe(one, np.full((1, 4, 6), wrong), np.array([1]))
    with pytest.raises(ValueError, match="not the same"):
        merge(one, no_items((4, 5)))
