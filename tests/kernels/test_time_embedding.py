"""The embedding of times against its formula."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.time_embedding import timestep_embedding


@pytest.mark.parametrize("times", [np.array([[0, 1], [500, 999]]), np.array([0.0, 0.37, 437.5], np.float32)])
def test_cosines_then_sines(times):
    expected = np.empty((*times.shape, 6))
    for i in range(3):
        frequency = 10000 ** (-i / 3)
        expected[..., i], expected[..., 3 + i] = np.cos(times * frequency), np.sin(times * frequency)
    np.testing.assert_allclose(timestep_embedding(jnp.array(times), 6), expected, atol=1e-4)
