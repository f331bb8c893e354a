"""Working through a batch a few rows at a time changes nothing but the order of the work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.runtime.rows import map_rows, rows_at_once


def both(x, y):
    return {"sum": x + y, "max": x.max(1)}


@pytest.mark.parametrize("rows", [None, 1, 2, 3, 4, 6])
def test_rows_keep_their_order(rows):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(12.0).reshape(6, 2) ** 2
    actual = map_rows(both, x, y, rows=rows)
    jax.tree.map(np.testing.assert_array_equal, actual, both(x, y))


def test_only_that_many_rows_are_seen_at_a_time():
    shapes = []
    map_rows(lambda x: shapes.append(x.shape) or x, jnp.zeros((6, 2)), rows=3)
    assert set(shapes) == {(3, 2)}


@pytest.mark.parametrize(("platform", "rows"), [("cpu", 1), ("gpu", None), ("tpu", None)])
def test_accelerators_take_all_rows_at_once(platform, rows):
    assert rows_at_once(platform) == rows
