"""Working through a batch a few rows at a time changes nothing but the order of the work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

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


def test_one_row_per_cpu_device():
    assert rows_at_once() == jax.device_count() == 8


def test_a_sharded_batch_needs_no_communication():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    batch = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.device_put(np.arange(48, dtype=np.float32).reshape(24, 2), batch)
    compiled = jax.jit(lambda x: map_rows(jnp.tanh, x, rows=8), out_shardings=batch).lower(x).compile()
    assert not any(
        word in compiled.as_text() for word in ("all-gather", "all-reduce", "all-to-all", "permute")
    )
    np.testing.assert_allclose(compiled(x), np.tanh(x), rtol=1e-6)
