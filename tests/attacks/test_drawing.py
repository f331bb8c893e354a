import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.drawing import NUM_LOOKS, Drawing
from jaxaudit.errors import InputError
from jaxaudit.targets import DiffusionFunctions
from jaxaudit_kernels.process import Denoised
from tests import tiny, tiny_diffusion

SPREAD = 0.5
COUNT = 1024


@pytest.fixture(scope="module")
def tokens_instead():
    """The tiny VAR, whose pictures are its tokens."""
    target = tiny.var_target()

    def decode(params, tokens):
        del params
        return jnp.broadcast_to(tokens[:, :, None, None].astype(jnp.float32), (*tokens.shape, 1, 3))

    return dataclasses.replace(target, functions=dataclasses.replace(target.functions, decode=decode))


def test_tokens_are_drawn_from_the_softmax_of_their_logits(tokens_instead):
    count, label = COUNT, 3
    drawn = Drawing(tokens_instead, seed=1).submit(np.full(count, label), ids=range(count)).result()
    drawn = np.asarray(drawn)[:, :, 0, 0].astype(int)
    logits = np.asarray(tokens_instead.logits(drawn[:1], np.array([label])))[0, 0]
    law = np.exp(logits - logits.max())
    law /= law.sum()
    seen = np.bincount(drawn[:, 0], minlength=law.size) / count
    assert np.abs(seen - law).max() < 4 * np.sqrt(law.max() / count)


def test_a_picture_follows_from_its_id(tokens_instead):
    drawing, labels = Drawing(tokens_instead, seed=1), np.arange(4)
    whole = drawing.submit(labels, ids="abcd", padded_size=COUNT).result()
    again = drawing.submit(labels[2:], ids="cd", padded_size=COUNT).result()
    np.testing.assert_array_equal(whole[2:], again)
    other = Drawing(tokens_instead, seed=2).submit(labels, ids="abcd", padded_size=COUNT).result()
    assert np.any(whole != other)


def gaussian_denoise(params, z_t, level, condition):
    """The best prediction of the noise where clean latents are N(0, SPREAD²)."""
    del params, condition
    kept = jnp.asarray(tiny_diffusion.FROM_ZERO.alphas_cumprod, jnp.float32)[level]
    kept = jnp.expand_dims(jnp.atleast_1d(kept), (1, 2, 3))
    return Denoised(z_t * jnp.sqrt(1 - kept) / (kept * SPREAD**2 + 1 - kept))


def spread_drawn(levels):
    """Of latents that DDIM draws through so many levels, by its recursion for one number."""
    kept = tiny_diffusion.FROM_ZERO.alphas_cumprod
    index = np.round(np.linspace(len(kept) - 1, 0, levels)).astype(int)
    z = 1.0
    for here, there in zip(index, [*index[1:], None], strict=True):
        eps = z * np.sqrt(1 - kept[here]) / (kept[here] * SPREAD**2 + 1 - kept[here])
        clean = (z - np.sqrt(1 - kept[here]) * eps) / np.sqrt(kept[here])
        z = clean if there is None else np.sqrt(kept[there]) * clean + np.sqrt(1 - kept[there]) * eps
    return z


def test_latents_are_drawn_as_the_model_believes_them_to_be_spread():
    target = tiny_diffusion.target("nothing")
    functions = DiffusionFunctions(
        encode=target.functions.encode,
        decode=target.functions.decode,
        denoise=gaussian_denoise,
        activations=tiny.unused,
    )
    target = dataclasses.replace(target, functions=functions)
    images = Drawing(target).submit(None, ids=range(256)).result()
    assert np.isfinite(images).all()
    assert images.std() == pytest.approx(spread_drawn(NUM_LOOKS), rel=0.02)
    assert spread_drawn(1000) == pytest.approx(SPREAD, rel=0.01)


@pytest.mark.parametrize(
    "make_target", [tiny.mar_target, tiny.rar_target, tiny.captioned_target], ids=["mar", "rar", "captions"]
)
def test_pictures_of_every_kind_stay_with_their_ids(make_target):
    target = make_target()
    told = np.stack([*tiny.embed(["a", "b"])]) if target.context_shape else np.array([1, 2])
    drawing = Drawing(target, seed=3)
    images = drawing.submit(told, ids="ab").result()
    assert images.shape == (2, 8, 8, 3)
    low, high = target.preprocessing.low, target.preprocessing.high
    assert low <= images.min() < images.max() <= high
    np.testing.assert_allclose(drawing.submit(told[::-1], ids="ba").result()[::-1], images, atol=1e-4)


def test_ids_and_labels_must_fit(tokens_instead):
    with pytest.raises(InputError):
        Drawing(tokens_instead).submit(np.array([99]), ids="a")
