"""Codes against loops over pixels and codes."""

import jax.numpy as jnp
import numpy as np

from jaxaudit.tokenizers.codebook import look_up, nearest, raster


def test_nearest_against_a_loop():
    rng = np.random.default_rng(0)
    z, codes = rng.standard_normal((2, 5, 3), np.float32), rng.standard_normal((11, 3), np.float32)
    codes[4] *= 10  # a code is chosen by its distance, not by its product
    actual = nearest(jnp.asarray(z), jnp.asarray(codes))
    assert actual.dtype == jnp.int32
    for image, token in np.ndindex(2, 5):
        distances = [float(np.sum((z[image, token].astype(np.float64) - code) ** 2)) for code in codes]
        assert actual[image, token] == int(np.argmin(distances))


def test_pixels_and_tokens_in_raster_order():
    codes = jnp.asarray(np.random.default_rng(0).standard_normal((11, 3), np.float32))
    tokens = jnp.asarray(np.random.default_rng(1).integers(0, 11, (2, 9)))
    pixels = look_up(tokens, codes, 3)
    for image, row, column in np.ndindex(2, 3, 3):
        np.testing.assert_array_equal(pixels[image, row, column], codes[tokens[image, 3 * row + column]])
    np.testing.assert_array_equal(raster(pixels), codes[tokens])
    np.testing.assert_array_equal(nearest(raster(pixels), codes), tokens)


def test_raster_of_an_oblong_picture():
    pixels = jnp.arange(2.0 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    for image, row, column in np.ndindex(2, 2, 3):
        np.testing.assert_array_equal(raster(pixels)[image, 3 * row + column], pixels[image, row, column])
