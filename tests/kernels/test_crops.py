"""Centre crops: what a line becomes, and what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.crops import centre_crop


@pytest.mark.parametrize("share", [0.95, 0.7, 0.3])
@pytest.mark.parametrize("size", [8, 11])
def test_a_slope_is_flatter_by_the_share(share, size):
    """Linear in the pixels' centres, so that resampling is exact and (1) can be read off."""
    place = np.arange(size) + 0.5
    ramp = 3.0 * place[:, None, None] + 0.5 * place[None, :, None] + np.array([0.0, 1.0, -2.0])
    inside = size / 2 + share * (place - size / 2)
    expected = 3.0 * inside[:, None, None] + 0.5 * inside[None, :, None] + np.array([0.0, 1.0, -2.0])
    found = centre_crop(jnp.asarray(ramp[None], jnp.float32), share)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-5)


def test_the_whole_picture_is_itself():
    picture = jax.random.uniform(jax.random.key(0), (2, 8, 6, 3))
    np.testing.assert_allclose(centre_crop(picture, 1.0), picture, atol=1e-6)


def test_nothing_outside_the_crop_is_seen():
    inside = jnp.pad(jnp.full((1, 4, 4, 1), 5.0), [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=100.0)
    np.testing.assert_allclose(centre_crop(inside, 0.5)[:, 1:-1, 1:-1], 5.0, rtol=1e-6)
    assert np.all(np.asarray(centre_crop(inside, 0.5)[:, 0]) > 5)  # half way between two centres
