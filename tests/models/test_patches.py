"""Patches against loops over pixels, in both orders, and the embedding against a strided convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.families.random_params import random_params
from jaxaudit.models.patches import PatchEmbed, patchify, unpatchify

ORDERS = {
    "p q c": lambda row, column, channel, p, channels: (row * p + column) * channels + channel,
    "c p q": lambda row, column, channel, p, channels: (channel * p + row) * p + column,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_every_pixel_is_where_its_order_says(order, p):
    height, width, channels = 2 * p, 3 * p, 5
    x = jnp.arange(2.0 * height * width * channels).reshape(2, height, width, channels)
    tokens = np.asarray(patchify(x, p, order))
    assert tokens.shape == (2, 6, p * p * channels)
    for image, i, j, c in np.ndindex(x.shape):
        place = ORDERS[order](i % p, j % p, c, p, channels)
        assert tokens[image, i // p * 3 + j // p, place] == x[image, i, j, c]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_back_and_forth(order, p):
    x = jnp.arange(2.0 * 6 * 6 * 5).reshape(2, 6, 6, 5)
    np.testing.assert_array_equal(unpatchify(patchify(x, p, order), p, order), x)


def test_embedding_is_a_strided_convolution():
    module = PatchEmbed(7, 2, jnp.float32, jax.nn.initializers.normal(1.0))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 6, 3), np.float32))
    variables = random_params(jax.eval_shape(module.init, jax.random.key(0), x))
    kernel, bias = (variables["params"]["proj"][name] for name in ("kernel", "bias"))
    assert kernel.shape == (2, 2, 3, 7)
    layout = ("NHWC", "HWIO", "NHWC")
    conv = jax.lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=layout)
    tokens = module.apply(variables, x)
    np.testing.assert_allclose(tokens, conv.reshape(2, 6, 7) + bias[None, None], rtol=1e-5, atol=1e-5)
