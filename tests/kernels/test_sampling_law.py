"""The law of a sampler against drawing it token by token, and against sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.sampling_law import Sampler, guidance_scales, guided, log_law, log_probability


def slow_law(logits, temperature, top_k, top_p):
    """(1) to (4) of one token, by sorting and counting."""
    z = np.asarray(logits, float) / temperature
    alive = np.ones(z.size, bool)
    if top_k:
        alive = z >= sorted(z, reverse=True)[top_k - 1]
    p = np.where(alive, np.exp(z - z.max()), 0)
    p /= p.sum()
    total = 0.0
    for index in np.argsort(p, kind="stable"):
        total += p[index]
        if total <= 1 - top_p and index != np.argmax(p):
            alive[index] = False
    p = np.where(alive, p, 0)
    return p / p.sum()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.8), (12, 0.6), (1, 0.5), (99, 0.999)])
def test_is_the_law_of_the_steps(temperature, top_k, top_p):
    logits = np.random.default_rng(0).normal(size=(7, 20)).astype(np.float32) * 2
    sampler = Sampler(temperature, top_k, top_p)
    expected = [slow_law(row, temperature, min(top_k, 20), top_p) for row in logits]
    np.testing.assert_allclose(np.exp(log_law(jnp.asarray(logits), sampler)), expected, atol=1e-6)


def test_ties_with_the_last_of_the_top_k_stay():
    law = np.exp(log_law(jnp.array([1.0, 1.0, 1.0, 0.0]), Sampler(top_k=2)))
    np.testing.assert_allclose(law, [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)


def test_a_token_left_out_is_never_drawn():
    logits = jnp.array([[3.0, 1.0, 0.0]])
    assert log_probability(logits, jnp.array([2]), Sampler(top_k=1)) == -jnp.inf
    assert log_probability(logits, jnp.array([0]), Sampler(top_k=1)) == 0


def test_guidance_goes_beyond_the_condition():
    conditional, null = jnp.array([[1.0, 2.0]]), jnp.array([[2.0, 0.0]])
    np.testing.assert_array_equal(guided(conditional, null, jnp.ones(1)), conditional)
    np.testing.assert_allclose(guided(conditional, null, jnp.array([2.5])), [[-0.5, 5.0]])


def test_sampling_agrees():
    logits, sampler = jnp.array([2.0, 1.5, 0.3, -1.0, 1.4]), Sampler(0.8, 4, 0.9)
    law = np.exp(log_law(logits, sampler))
    drawn = jax.random.categorical(jax.random.key(0), log_law(logits, sampler), shape=(20_000,))
    rates = np.bincount(np.asarray(drawn), minlength=5) / 20_000
    assert (np.abs(rates - law) <= 4 * np.sqrt(law * (1 - law) / 20_000) + 1e-9).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0 is not positive"),
        ({"top_k": -1}, "top_k=-1 is negative"),
        ({"top_p": 0.0}, "top_p=0.0 is not in"),
    ],
)
def test_refuses_what_is_no_sampler(fields, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**fields)


def test_guidance_grows_as_the_samplers_have_it():
    """VAR: t = cfg s / (S - 1), (1 + t) z_c - t z_0; RAR: 1 + (g - 1) (1 - cos(pi (i / 256)^power)) / 2."""
    np.testing.assert_allclose(guidance_scales("linear", 2.5, 4), [1, 1.5, 2, 2.5])
    np.testing.assert_allclose(guidance_scales("constant", 2.0, 3), [2, 2, 2])
    cosine = guidance_scales("cosine", 16.0, 256, power=2.75)
    assert (cosine[0], np.argmax(cosine)) == (1, 255)
    with pytest.raises(ValueError, match="power=-1.0 of the guidance"):
        guidance_scales("cosine", 16.0, 256, power=-1.0)
    assert cosine[128] == pytest.approx(1 + 15 * (1 - np.cos(np.pi * 0.5**2.75)) / 2)
