"""Candidate scores against recorded outputs of published code and plain loops."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.memorization_scores import (
    greedy_matches,
    latent_distance,
    match_rate,
    published_latent_distance,
)

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "memorization_scores" / "io.npz")


@pytest.mark.parametrize(("family", "chunk_size"), [("var", 100), ("rar", 32)])
def test_matches_are_the_published_ones(family, chunk_size):
    logits, tokens = GOLDEN[f"{family}_logits"], jnp.asarray(GOLDEN[f"{family}_tokens"][:4], jnp.int32)
    size = logits.shape[-1]
    matches = greedy_matches(
        jnp.asarray(logits), jnp.eye(size), jnp.zeros(size), tokens, chunk_size=chunk_size
    )
    np.testing.assert_array_equal(matches, GOLDEN[f"{family}_is_top"][:4] == 1)
    np.testing.assert_array_equal(matches, GOLDEN[f"{family}_argmax"][:4] == GOLDEN[f"{family}_tokens"][:4])


@pytest.mark.parametrize(("family", "last"), [("var", 256), ("rar", 99)])
def test_match_rates_are_the_published_ones(family, last):
    matches = jnp.asarray(GOLDEN[f"{family}_is_top"] == 1)
    published = GOLDEN[f"{family}_scores"]
    published = published[:, -1] if published.ndim == 2 else published
    np.testing.assert_allclose(match_rate(matches, last=last), published, rtol=1e-6)
    distance = GOLDEN[f"{family}_thesis_distance_percent"]
    np.testing.assert_allclose(match_rate(matches), 1 - distance / 100, rtol=1e-6)


def test_tied_logits_predict_the_lowest_index():
    logits = jnp.array([[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]])
    for tokens, expected in (([[1, 0]], [[True, True]]), ([[2, 1]], [[False, False]])):
        matches = greedy_matches(logits, jnp.eye(3), jnp.zeros(3), jnp.array(tokens))
        np.testing.assert_array_equal(matches, expected)


@pytest.mark.parametrize("last", [0, 6])
def test_a_rate_needs_tokens(last):
    with pytest.raises(ValueError, match=f"last={last} is not in 1..5"):
        match_rate(jnp.zeros((2, 5), bool), last=last)


def test_latent_distances_are_the_published_ones():
    latents, predicted = jnp.asarray(GOLDEN["mar_tokens"]), jnp.asarray(GOLDEN["mar_predicted"])
    hidden, order = np.flatnonzero(GOLDEN["mar_mask"]), GOLDEN["mar_order"]
    distance = latent_distance(latents, predicted, hidden)
    np.testing.assert_allclose(distance, np.abs(GOLDEN["mar_reference_aligned_masked_only"]), rtol=1e-5)
    published = published_latent_distance(latents, predicted, order, assumed=243)
    np.testing.assert_allclose(-published, GOLDEN["mar_scores"], rtol=1e-5)
    paired = published_latent_distance(latents, predicted, order, assumed=244)
    np.testing.assert_allclose(paired, np.abs(GOLDEN["mar_reference_aligned_all256"]), rtol=1e-5)


def test_a_distance_is_the_mean_over_hidden_tokens():
    rng = np.random.default_rng(0)
    latents, predicted = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 2, 3))
    hidden = np.array([1, 4])
    expected = [
        sum(sum((latents[b, n] - predicted[b, i]) ** 2) for i, n in enumerate(hidden)) / 2 for b in range(2)
    ]
    distance = latent_distance(jnp.asarray(latents), jnp.asarray(predicted), hidden)
    np.testing.assert_allclose(distance, expected, rtol=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_predictions_must_fit_the_hidden_tokens():
    with pytest.raises(ValueError, match="do not fit latents"):
        latent_distance(jnp.zeros((2, 5, 3)), jnp.zeros((2, 2, 3)), np.array([1]))
