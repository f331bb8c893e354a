import functools
import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.completion import ContinuousExtraction, ExtractionAttack, default_prefixes
from jaxaudit.errors import InputError
from jaxaudit.families import rar, var
from jaxaudit.targets import ContinuousFunctions
from tests import tiny, tiny_diffusion
from tests.marks import slow_but
from tests.tiny import llamagen_target, mar_target, rar_target, var_target

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "memorization_scores" / "io.npz")
TARGETS = {"var": var_target, "rar": rar_target, "llamagen": llamagen_target, "mar": mar_target}
IDS = tuple("abcde")
IMAGES = np.random.default_rng(3).uniform(-1, 1, (5, 8, 8, 3)).astype(np.float32)
LABELS = np.array([0, 3, 9, 3, 1], np.int32)


@functools.cache
def attacked(family):
    """(attack, tokens, candidate scores, completions from one step) of five pictures."""
    attack = ExtractionAttack(TARGETS[family]())
    tokens = attack.encode(IMAGES).result()
    scores = attack.rank(IMAGES, LABELS, ids=IDS).result()
    return attack, tokens, scores, attack.complete(tokens, LABELS, 1, ids=IDS).result()


@pytest.mark.parametrize("family", slow_but(["var", "rar", "llamagen"], "var"))
def test_ranking_counts_greedy_predictions(family):
    attack, tokens, scores, _ = attacked(family)
    greedy = np.asarray(attack.target.logits(tokens, LABELS)).argmax(-1)
    match = [[int(a == b) for a, b in zip(*rows, strict=True)] for rows in zip(tokens, greedy, strict=True)]
    np.testing.assert_allclose(scores["greedy_match"], [sum(m) / len(m) for m in match], rtol=1e-6)
    last = 16  # the last scale of the VAR; of the others, which have no 99 tokens, all
    np.testing.assert_allclose(scores["greedy_match_ref"], [sum(m[-last:]) / last for m in match], rtol=1e-6)


def test_ranking_latents_measures_what_hidden_tokens_are_drawn_as():
    """On a model of 20 tokens that draws, at each hidden position, the position plus noise from the key."""

    def conditions(params, latents, labels, hidden):
        assert hidden.shape == (5, 19)  # 95%
        return hidden[..., None] + 0.0 * labels[:, None, None]

    def sample(params, z, keys):
        noise = jax.vmap(lambda key: jax.random.normal(key, (19, 2)))(keys)
        return z + params * noise

    functions = ContinuousFunctions(
        lambda params, images: images.reshape(5, 20, 2),
        *(tiny.unused, conditions, tiny.unused, sample, tiny.unused, tiny.unused),
    )
    latents = np.random.default_rng(0).normal(size=(5, 2, 10, 2)).astype(np.float32)
    hashes = np.array([zlib.crc32(name.encode()) for name in IDS], np.uint32)
    attack = ContinuousExtraction(functions, (1,) * 20, seed=0)
    batch = {"images": jnp.asarray(latents), "condition": jnp.asarray(LABELS), "ids": hashes}
    scores = attack.rank((2.0, jax.random.key(7)), batch)
    order = np.random.RandomState(0).permutation(20)
    tokens, expected, published = latents.reshape(5, 20, 2), [], []
    for image, name in zip(tokens, hashes, strict=True):
        noise = np.asarray(jax.random.normal(jax.random.fold_in(jax.random.key(7), name), (19, 2)))
        hidden = sorted(order[:19])
        drawn = [n + 2 * noise[place] for place, n in enumerate(hidden)]
        distance = sum(((a - image[n]) ** 2).sum() for n, a in zip(hidden, drawn, strict=True))
        expected.append(-distance / 19)
        published.append(-distance / 20)  # 0.95 · 20 is whole, so the pairing is right
    np.testing.assert_allclose(scores["latent_match"], expected, rtol=1e-5)
    np.testing.assert_allclose(scores["latent_match_ref"], published, rtol=1e-5)


@pytest.mark.parametrize("family", slow_but(TARGETS, "var", "rar"))
def test_results_stay_with_their_image(family):
    attack, tokens, scores, completed = attacked(family)
    rows = np.array([3, 1])
    names = [IDS[row] for row in rows]
    some = attack.rank(IMAGES[rows], LABELS[rows], ids=names, padded_size=5).result()
    for name, values in some.items():
        np.testing.assert_array_equal(values, scores[name][rows])
    again = attack.complete(tokens[rows], LABELS[rows], 1, ids=names, padded_size=5).result()
    np.testing.assert_array_equal(again, completed[rows])


@pytest.mark.parametrize("family", ["var", "rar", "llamagen"])
def test_completions_are_the_decoded_greedy_ones(family):
    attack, tokens, _, completed = attacked(family)
    target = attack.target
    np.testing.assert_allclose(completed, target.decode(target.complete(tokens, LABELS, 1)), atol=1e-5)


def test_images_come_in_the_unit_range():
    attack = attacked("var")[0]
    levels = np.float32([-1, 0, 1, 1.0001]).reshape(4, 1, 1, 1) * np.ones((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(attack.to_unit(levels)[:, 0, 0, 0], [0, 0.5, 1, 1])


def test_mar_is_completed_from_tokens_that_are_visible_in_the_ranking():
    order = ContinuousExtraction(mar_target().functions, (1,) * 256, seed=0).order
    np.testing.assert_array_equal(order, GOLDEN["mar_order"])
    np.testing.assert_array_equal(np.sort(order[:244]), np.flatnonzero(GOLDEN["mar_mask"]))
    given = order[::-1][:5]
    assert list(GOLDEN["mar_generation_step_of_token"][given]) == [0, 1, 2, 3, 4]
    assert set(given) <= set(np.flatnonzero(GOLDEN["mar_mask"] == 0))


def test_default_prefixes_are_the_published_ones_at_full_size():
    scales = tuple(side**2 for side in var.VARIANTS["var_d30"].config["generator"]["patch_nums"])
    assert default_prefixes(scales, (0, 1, 5, 14, 30)) == (0, 1, 2, 3, 4)
    tokens = (1,) * rar.VARIANTS["rar_xxl"].config["generator"]["num_tokens"]
    assert default_prefixes(tokens, (0, 1, 5, 14, 30)) == (0, 1, 5, 14, 30)
    published = GOLDEN["mar_generation_tokens_per_step"].tolist()
    assert default_prefixes(published, (0, 1, 2, 5)) == (0, 1, 2, 5)


def test_default_prefixes_of_small_images_give_away_a_quarter_at_most():
    assert default_prefixes((1, 4, 16, 64), (0, 1, 5, 14, 30)) == (0, 1, 2, 3)
    assert default_prefixes((1, 4, 16), (0, 1, 5, 14, 30)) == (0, 1, 2)
    assert default_prefixes((1,) * 64, (0, 1, 5, 14, 30)) == (0, 1, 5, 14, 16)
    assert default_prefixes((4, 16), (0, 1, 5, 14, 30)) == (0, 1)


def test_what_cannot_be_attacked_is_refused():
    attack, tokens, _, _ = attacked("var")
    with pytest.raises(InputError, match="Label 11 is out of range"):
        attack.rank(IMAGES, LABELS + 2, ids=IDS)
    with pytest.raises(InputError, match=r"A prefix of 3 steps is not in 0..2"):
        attack.complete(tokens, LABELS, 3, ids=IDS)
    with pytest.raises(InputError, match="tiny has no beginning to be completed from"):
        ExtractionAttack(tiny_diffusion.target())
