"""Random draws per image: what they depend on, and their distributions."""

import functools

import jax
import numpy as np
import pytest

from jaxaudit_kernels import draws

IDS = np.array([7, 0, 4_000_000_000, 123], np.uint32)


@functools.partial(jax.jit, static_argnames=("repetitions", "count"))
def everything(seed, ids, repetitions=3, count=5):
    keys = draws.image_keys(jax.random.key(seed), ids)
    return {
        "hidden": draws.hidden_positions(keys, 16, count),
        "levels": draws.levels(keys, repetitions, 5, 1000),
        "noises": draws.noises(keys, repetitions, (5, 2)),
    }


@pytest.fixture(scope="module")
def drawn():
    return everything(3, IDS)


def test_an_image_is_drawn_for_alone(drawn):
    assert {name: array.shape for name, array in drawn.items()} == {
        "hidden": (4, 5),
        "levels": (3, 4, 5),
        "noises": (3, 4, 5, 2),
    }
    others = everything(3, np.array([5, 4_000_000_000, 6, 7], np.uint32))
    for image, place in ((0, 3), (2, 1)):
        np.testing.assert_array_equal(others["hidden"][place], drawn["hidden"][image])
        for name in ("levels", "noises"):
            np.testing.assert_array_equal(others[name][:, place], drawn[name][:, image])


def test_keys_and_ids_matter(drawn):
    other = everything(4, IDS)
    for name, array in drawn.items():
        assert not np.array_equal(array, other[name]), name
    assert len({tuple(row) for row in drawn["hidden"].tolist()}) > 1
    assert not np.array_equal(drawn["noises"][:, 0], drawn["noises"][:, 1])


def test_more_draws_begin_with_fewer(drawn):
    more = everything(3, IDS, repetitions=7, count=11)
    for name in ("levels", "noises"):
        np.testing.assert_array_equal(more[name][:3], drawn[name])
    for few, many in zip(drawn["hidden"], more["hidden"], strict=True):
        assert set(few.tolist()) < set(many.tolist())


def test_distributions():
    many = everything(0, np.arange(6400, dtype=np.uint32))
    hidden = np.asarray(many["hidden"])
    assert (np.diff(hidden, axis=1) > 0).all()
    counts = np.bincount(hidden.ravel(), minlength=16)
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000 * 11 / 16)
    levels = np.asarray(many["levels"])
    assert levels.min() == 0
    assert levels.max() == 999
    counts = np.histogram(levels, 8, (0, 1000))[0]
    assert np.abs(counts - 12_000).max() < 5 * np.sqrt(12_000 * 7 / 8)
    noise = np.asarray(many["noises"])
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)


def test_probes_are_an_images_own_and_no_noises():
    keys = draws.image_keys(jax.random.key(3), IDS)
    first, second = (np.asarray(draws.probe(keys, number, (40, 50))) for number in (0, 1))
    alone = draws.probe(draws.image_keys(jax.random.key(3), IDS[2:3]), 0, (40, 50))
    np.testing.assert_array_equal(alone[0], first[2])
    noises = np.asarray(draws.noises(keys, 1, (40, 50))[0])
    for other in (second, noises, first[::-1]):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(first.size)


def test_all_tokens_may_be_hidden_but_not_none_or_more():
    keys = jax.random.split(jax.random.key(0), 2)
    np.testing.assert_array_equal(draws.hidden_positions(keys, 4, 4), [[0, 1, 2, 3]] * 2)
    for count in (0, 5):
        with pytest.raises(ValueError, match=f"{count} of 4 tokens cannot be hidden"):
            draws.hidden_positions(keys, 4, count)
