"""New pictures: drawn by the model's own law, following from their id alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.generation import generate
from tests import tiny

KEY = jax.random.key(3)


@pytest.mark.parametrize(
    "family", ["rar", *(pytest.param(slow, marks=pytest.mark.slow) for slow in ("var", "mar"))]
)
def test_a_picture_follows_from_its_id_alone(family):
    target = getattr(tiny, f"{family}_target")()
    labels = np.array([1, 2, 3], np.int32)
    images = generate(target, labels, key=KEY, ids=["a", "b", "c"])
    assert images.shape == (3, 8, 8, 3)
    low, high = target.preprocessing.low, target.preprocessing.high
    assert low <= images.min() < images.max() <= high
    again = generate(target, labels[::-1].copy(), key=KEY, ids=["c", "b", "a"])
    np.testing.assert_allclose(again[::-1], images, atol=1e-4)
    other = generate(target, labels, key=KEY, ids=["d", "b", "c"])
    assert not np.allclose(other[0], images[0])


def test_captioned_diffusion_models_draw_too():
    told = np.stack([*tiny.embed(["a", "b"])])
    images = generate(tiny.captioned_target(), told, key=KEY, ids=["a", "b"])
    assert images.shape == (2, 8, 8, 3)
    assert np.isfinite(images).all()


@pytest.mark.slow
def test_the_first_token_is_drawn_with_the_probability_the_model_says():
    """512 draws of one class: frequencies of the first token of VAR against its law, by chi-squared."""
    from jaxaudit.attacks.generation import _tokens

    target, count = tiny.var_target(), 512
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(count))
    labels = jnp.full(count, 4, jnp.int32)
    drawn = np.asarray(_tokens(target, labels, keys))[:, 0]
    logits = target.logits(np.zeros((1, target.num_tokens), np.int32), np.array([4], np.int32))[0, 0]
    law = np.asarray(jax.nn.softmax(logits))
    expected = count * law
    kept = expected >= 5
    seen = np.bincount(drawn, minlength=law.size)
    groups = [(seen[kept], expected[kept]), (seen[~kept].sum(), expected[~kept].sum())]
    statistic = sum(np.sum((o - e) ** 2 / np.maximum(e, 1e-9)) for o, e in groups)
    assert statistic < 60  # 24 codes: the 99.9% point of 23 degrees of freedom is 50
