import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxaudit_kernels.output_noise import (
    _STEP,
    _places,
    context_words,
    keyed_normal,
    latent_noise,
    noise_words,
)

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


LATENTS = np.random.default_rng(1).standard_normal((200, 8, 8, 3), np.float32)


def of_latents(latents, level=100, condition=3, seed=0):
    told = jnp.full(len(latents), condition)
    return np.asarray(latent_noise(jnp.asarray(latents), jnp.asarray(level), told, seed=seed))


def directions(seed=0):
    """Unit vectors along which the noise moves, told from the places of the basis."""
    return _STEP * np.asarray(_places(jnp.eye(192), seed)).T


def test_noise_of_latents_is_standard_gaussian_and_independent_between_coordinates_and_questions():
    noise = of_latents(LATENTS).reshape(200, -1)
    assert scipy.stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    for rows in (noise, noise.T):
        upper = np.corrcoef(rows)[np.triu_indices(len(rows), 1)] * np.sqrt(rows.shape[1])
        assert abs(upper.mean()) < 0.1
        assert abs(upper.std() - 1) < 0.05


def test_far_questions_have_independent_noise_and_equal_ones_the_same():
    noise = of_latents(LATENTS)
    np.testing.assert_array_equal(noise, of_latents(LATENTS))
    np.testing.assert_array_equal(noise, of_latents(LATENTS, level=np.full(200, 100)))
    aside = LATENTS + 2.01 * _STEP * directions()[0].reshape(8, 8, 3)
    others = (of_latents(LATENTS, level=101), of_latents(LATENTS, condition=4), of_latents(LATENTS, seed=1))
    for other in (*others, of_latents(aside), of_latents(LATENTS[::-1])):
        assert abs(np.mean(noise * other)) < 4 / np.sqrt(noise.size)


def test_noise_of_latents_moves_as_little_as_they_do():
    """By π δ / (2 h) of its length along each direction, and the same over the edges of cells."""
    step = np.linspace(0, 1, 2001)[:, None, None, None]
    walk = LATENTS[:1] + (step * directions().sum(0).reshape(8, 8, 3)).astype(np.float32)
    moved = np.diff(of_latents(walk), axis=0).reshape(2000, -1)
    cells = np.floor(np.asarray(_places(jnp.asarray(walk.reshape(2001, -1)), 0)))
    assert len(np.unique(cells, axis=0)) > 20
    length = np.sqrt((moved**2).mean(-1))
    slope = np.pi / 2 * np.diff(np.asarray(_places(jnp.asarray(walk.reshape(2001, -1)), 0)), axis=0)
    assert np.median(length / np.linalg.norm(slope, axis=-1)) == pytest.approx(1, rel=0.05)
    assert length.max() < 0.03
    rounded = of_latents(np.nextafter(LATENTS, np.float32(9)))
    assert np.sqrt(np.mean((rounded - of_latents(LATENTS)) ** 2)) < 1e-5


def test_answers_to_similar_questions_average_the_noise_and_those_to_rounded_ones_do_not():
    aside = 2.01 * _STEP * directions()[0].reshape(8, 8, 3).astype(np.float32)
    similar = np.mean([of_latents(LATENTS + k * aside) for k in range(16)], axis=0)
    assert similar.std() == pytest.approx(1 / 4, rel=0.02)
    rounded = np.mean([of_latents(LATENTS * np.float32(1 + k * 1e-7)) for k in range(16)], axis=0)
    assert rounded.std() == pytest.approx(1, rel=0.02)


def test_nobody_sees_a_slope_of_the_noise():
    slope = jax.grad(lambda z: jnp.sum(latent_noise(z, jnp.asarray(3), None, seed=0)))(
        jnp.asarray(LATENTS[:2])
    )
    assert not np.any(slope)
