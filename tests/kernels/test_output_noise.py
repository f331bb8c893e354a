import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxaudit_kernels.output_noise import context_words, keyed_normal, noise_words

STEPS = (1, 4, 16)


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).integers(0, 24, (5, 21)).astype(np.int32)


def words(tokens, labels=None, seed=0):
    labels = np.arange(len(tokens)) if labels is None else labels
    return np.asarray(context_words(jnp.asarray(tokens), jnp.asarray(labels, jnp.int32), STEPS, seed=seed))


def test_a_token_is_keyed_by_label_and_earlier_steps_alone(tokens):
    before = words(tokens)
    for position, begin_of_changed in ((0, 1), (3, 5), (20, 21)):
        changed = tokens.copy()
        changed[:, position] += 1
        after = words(changed)
        assert (after[:, :begin_of_changed] == before[:, :begin_of_changed]).all()
        assert (after[:, begin_of_changed:] != before[:, begin_of_changed:]).any(-1).all()
    assert (words(tokens, labels=[7] * 5) != before).any(-1).all()
    assert (words(tokens, seed=1) != before).any(-1).all()


def test_swapped_tokens_are_another_context(tokens):
    swapped = tokens.copy()
    swapped[:, [1, 2]] = swapped[:, [2, 1]]
    moved = swapped[:, 1] != swapped[:, 2]
    assert moved.any()
    assert (words(swapped)[moved, 5:] != words(tokens)[moved, 5:]).any(-1).all()


def test_no_two_places_share_a_key(tokens):
    keys = words(np.concatenate([tokens] * 2), labels=[*range(5), *range(5, 10)]).reshape(-1, 2)
    assert len(np.unique(keys, axis=0)) == len(keys)


def test_noise_is_standard_gaussian_and_independent_between_keys(tokens):
    drawn = np.asarray(keyed_normal(jnp.asarray(words(tokens)), 400)).reshape(105, 400)
    assert drawn.dtype == np.float32
    assert scipy.stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
    correlation = np.corrcoef(drawn)[np.triu_indices(105, 1)]
    assert abs(correlation).max() < 6 / np.sqrt(400)


def test_the_key_of_a_noise_follows_its_bits_label_and_seed():
    noise = jax.random.normal(jax.random.key(0), (3, 4, 5))
    labels = jnp.zeros((3, 4), jnp.int32)
    keys = np.asarray(noise_words(noise, labels, seed=0))
    assert len(np.unique(keys.reshape(-1, 2), axis=0)) == 12
    nudged = np.asarray(noise_words(jnp.nextafter(noise, jnp.float32(9)), labels, seed=0))
    for other in (nudged, noise_words(noise, labels + 1, seed=0), noise_words(noise, labels, seed=1)):
        assert (np.asarray(other) != keys).any(-1).all()


def test_steps_must_fit():
    with pytest.raises(ValueError, match="do not fit 20 tokens"):
        context_words(jnp.zeros((1, 20), jnp.int32), jnp.zeros(1, jnp.int32), STEPS, seed=0)
