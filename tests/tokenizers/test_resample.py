"""Resampling against PyTorch's interpolation."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxaudit.tokenizers.resample import area, bicubic


def interpolated(x, size, mode):
    out = torch.nn.functional.interpolate(torch.tensor(np.moveaxis(x, -1, 1)), size=(size, size), mode=mode)
    return np.moveaxis(out.numpy(), 1, -1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 8, 10, 13, 16])
def test_area_is_adaptive_average_pooling(size):
    x = np.random.default_rng(size).standard_normal((2, 16, 16, 3), np.float32)
    np.testing.assert_allclose(
        area(jnp.asarray(x), size), interpolated(x, size, "area"), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 8, 10, 13, 16])
def test_bicubic_clamps_at_the_border(size):
    x = np.random.default_rng(size).standard_normal((2, size, size, 3), np.float32)
    np.testing.assert_allclose(
        bicubic(jnp.asarray(x), 16), interpolated(x, 16, "bicubic"), rtol=1e-5, atol=2e-6
    )


def test_bicubic_downwards_has_no_antialiasing():
    x = np.random.default_rng(0).standard_normal((1, 13, 13, 2), np.float32)
    np.testing.assert_allclose(
        bicubic(jnp.asarray(x), 5), interpolated(x, 5, "bicubic"), rtol=1e-5, atol=2e-6
    )
