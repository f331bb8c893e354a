"""The attention kernel of TPUs, interpreted, against one query at a time in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels import fused_attention


def slow(q, k, v, seen, scale):
    out = np.zeros(q.shape)
    for head, query in np.ndindex(q.shape[:2]):
        keys, values = (np.asarray(x[head, : seen[query]], np.float64) for x in (k, v))
        weights = np.exp(scale * (keys @ np.asarray(q[head, query], np.float64)))
        out[head, query] = weights @ values / weights.sum()
    return out


@pytest.mark.parametrize("logits", [1, 2**11, 2**19])
@pytest.mark.parametrize("seen", [np.full(37, 53), np.arange(3, 40), np.repeat([20, 33], [5, 32])])
def test_however_the_work_is_shared_out(seen, logits, monkeypatch):
    """A program for a tile of one head, for some rows of some heads, and for all; unseen keys are huge."""
    monkeypatch.setattr(fused_attention, "_LOGITS", logits)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((6, length, 12), np.float32) for length in (37, 53, 53))
    k[:, seen.max() :], v[:, seen.max() :] = 1e4, 1e4
    out = fused_attention.fused_attention(
        jnp.asarray(q), jnp.asarray(k), jnp.asarray(v), seen, scale=0.4, interpret=True
    )
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, slow(q, k, v, seen, 0.4), rtol=1e-5, atol=1e-5)


def test_half_precision_rounds_operands_and_weights_only():
    rng = np.random.default_rng(1)
    q, k, v = (jnp.asarray(rng.standard_normal((2, 20, 8)), jnp.bfloat16) for _ in range(3))
    out = fused_attention.fused_attention(q, k, v, np.full(20, 20), scale=0.4, interpret=True)
    expected = slow(q, k, v, np.full(20, 20), 0.4)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, atol=2**-8 * np.abs(expected).max())
