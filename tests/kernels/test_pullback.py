"""Sensitivity of a decoder: its mean over probes is the diagonal of JᵀJ."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxaudit_kernels import draws
from jaxaudit_kernels.pullback import sensitivity

JACOBIAN = np.random.default_rng(0).standard_normal((2 * 2 * 3, 2 * 1 * 2)).astype(np.float32)
LATENTS = jnp.asarray(np.random.default_rng(1).standard_normal((3, 2, 1, 2)), jnp.float32)
KEYS = draws.image_keys(jax.random.key(0), np.arange(3, dtype=np.uint32))


def decode(latents):
    """Linear in the latents; of the last image twice as far."""
    pictures = (latents.reshape(len(latents), -1) @ JACOBIAN.T).reshape(-1, 2, 2, 3)
    return jnp.array([1.0, 1.0, 2.0])[:, None, None, None] * pictures


def test_its_mean_over_probes_is_the_diagonal():
    """Each of 2,000 probes of a coordinate is its expectation times χ²₁: the mean is off by 3% (one σ)."""
    found = sensitivity(decode, LATENTS, lambda i: draws.probe(KEYS, i, (2, 2, 3)), num_probes=2_000).reshape(
        3, 4
    )
    expected = np.square(JACOBIAN).sum(0) * np.array([1.0, 1.0, 4.0])[:, None]
    np.testing.assert_allclose(found, expected, rtol=5 * np.sqrt(2 / 2_000))


def test_a_probe_by_hand():
    probe = np.random.default_rng(2).standard_normal((3, 2, 2, 3)).astype(np.float32)
    found = sensitivity(decode, LATENTS, lambda i: jnp.asarray(probe) * (1.0 + i), num_probes=2)
    pulled = probe.reshape(3, -1) @ JACOBIAN * np.array([1.0, 1.0, 2.0])[:, None]
    np.testing.assert_allclose(found.reshape(3, 4), pulled**2 * (1 + 4) / 2, rtol=1e-4)
