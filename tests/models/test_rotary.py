"""Rotary positions against the official table, complex numbers and what they are for."""

import jax.numpy as jnp
import numpy as np

from jaxaudit.models.rotary import rotate, rotations
from tests.golden import weights


def test_official_table():
    _, io = weights.load("llamagen")
    np.testing.assert_allclose(rotations(8, 16), io["rope_table"][1:], atol=1e-6)


def test_pairs_are_complex_numbers_that_are_turned():
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 3, 9, 8)).astype(np.float32)
    turned = np.asarray(rotate(jnp.asarray(x), jnp.asarray(rotations(3, 8))))
    for cell in range(9):
        for pair in range(4):
            position = cell // 3 if pair < 2 else cell % 3
            angle = position * 10000.0 ** (-(pair % 2) / 2)
            pairs = (x[:, :, cell, 2 * pair] + 1j * x[:, :, cell, 2 * pair + 1]) * np.exp(1j * angle)
            np.testing.assert_allclose(turned[:, :, cell, 2 * pair], pairs.real, atol=1e-6)
            np.testing.assert_allclose(turned[:, :, cell, 2 * pair + 1], pairs.imag, atol=1e-6)


def test_products_depend_on_the_distance_of_two_cells():
    q, k = np.random.default_rng(1).standard_normal((2, 1, 1, 1, 12)).astype(np.float32)
    table = jnp.asarray(rotations(4, 12))
    every_q, every_k = (rotate(jnp.repeat(jnp.asarray(x), 16, axis=2), table) for x in (q, k))
    products = np.asarray(every_q[0, 0] @ every_k[0, 0].T).reshape(4, 4, 4, 4)
    np.testing.assert_allclose(products[:3, :3, :3, :3], products[1:, 1:, 1:, 1:], atol=1e-5)
    assert np.ptp(products) > 1
