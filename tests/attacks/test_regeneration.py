"""The probability of an image under a sampler: token by token, and against sampling it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.regeneration import NEVER, RegenerationAttack, Sampling, log_probabilities
from jaxaudit.errors import InputError
from jaxaudit_kernels.sampling_law import Sampler, guidance_scales, guided, log_law
from tests import tiny

TARGETS = {"var": tiny.var_target, "rar": tiny.rar_target}
LABELS = np.array([3, 0, 7], np.int32)


def pictures(count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 8, 8, 3)).astype(np.float32)


def law(target, tokens, labels, sampling):
    """log q of every token of the vocabulary, [B,L,V]: from all logits at once."""
    null = np.full_like(labels, target.null_label)
    scales = guidance_scales(
        target.guidance_schedule,
        sampling.guidance,
        len(target.tokens_per_step),
        power=sampling.guidance_power,
    )
    scales = np.broadcast_to(np.repeat(scales, target.tokens_per_step), tokens.shape).astype(np.float32)
    logits = target.logits(tokens, labels)
    if sampling.guidance != 1:
        logits = guided(logits, target.logits(tokens, null), jnp.asarray(scales))
    return np.asarray(log_law(logits, sampling.sampler))


@pytest.mark.parametrize("family", TARGETS)
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(Sampler(0.7, 12, 0.9), 1.8, 2.0)])
def test_is_the_product_of_the_law(family, sampling):
    target = TARGETS[family]()
    if target.guidance_schedule != "cosine":
        sampling = dataclasses.replace(sampling, guidance_power=1.0)
    images = pictures(3)
    tokens = np.asarray(target.encode(images))
    each = np.take_along_axis(law(target, tokens, LABELS, sampling), tokens[..., None], -1)[..., 0]
    steps = RegenerationAttack(target, sampling).submit(images, LABELS, padded_size=4).result()
    ends = np.cumsum(target.tokens_per_step)
    for row in range(3):
        for step, (end, size) in enumerate(zip(ends, target.tokens_per_step, strict=True)):
            expected = max(each[row, end - size : end].sum(), NEVER)
            assert steps[row, step] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_sampling_brings_images_back_as_often_as_it_says():
    target = tiny.rar_target()
    sampling = Sampling(Sampler(temperature=0.15), guidance=1.5)
    images, labels, prefix, draws = pictures(1, seed=5), LABELS[:1], 13, 4000
    tokens = np.asarray(target.encode(images))
    rng, drawn = np.random.default_rng(0), np.repeat(tokens, draws, axis=0)
    drawn[:, prefix:] = 0
    many = np.repeat(labels, draws)
    for place in range(prefix, 16):
        q = np.exp(law(target, drawn, many, sampling)[:, place])
        drawn[:, place] = (rng.random((draws, 1)) > np.cumsum(q, axis=1)).sum(axis=1).clip(max=23)
    values, counts = np.unique(drawn[:, prefix:], axis=0, return_counts=True)
    common = np.repeat(tokens, 1, axis=0)
    common[0, prefix:] = values[np.argmax(counts)]
    each = np.take_along_axis(law(target, common, labels, sampling), common[..., None], -1)[0, prefix:, 0]
    p = float(np.exp(each.sum()))
    assert p > 0.02
    assert abs(counts.max() / draws - p) < 4 * np.sqrt(p * (1 - p) / draws)


def test_a_token_outside_the_kept_set_is_never_drawn():
    target = tiny.var_target()
    steps = RegenerationAttack(target, Sampling(Sampler(top_k=1))).submit(pictures(3), LABELS).result()
    log_p = log_probabilities(steps, (0, 2))
    assert np.isneginf(log_p[0]).all()
    assert set(np.unique(steps)) <= {np.float32(NEVER), np.float32(0)}


def test_sums_run_over_the_steps_after_the_prefix():
    steps = np.array([[-1.0, -2.0, -4.0], [-1.0, NEVER, 0.0]])
    found = log_probabilities(steps, (0, 1, 2))
    np.testing.assert_array_equal(found[0], [-7, -np.inf])
    np.testing.assert_array_equal(found[1], [-6, -np.inf])
    np.testing.assert_array_equal(found[2], [-4, 0])


def test_refuses_what_has_no_likelihood_of_tokens():
    with pytest.raises(InputError, match="is a continuous target and gives no probability of tokens"):
        RegenerationAttack(tiny.mar_target())
    captioned = dataclasses.replace(tiny.var_clip_target(), null_path=None)
    with pytest.raises(InputError, match="guidance=2: .* reads captions, and null_context"):
        RegenerationAttack(captioned, Sampling(guidance=2.0))


@pytest.mark.parametrize(
    ("family", "power", "words"),
    [
        ("var", 2.0, "--guidance_power=2 is for guidance that grows by a cosine; that of .* is linear"),
        ("rar", 0.0, "--guidance_power=0 is not positive"),
        ("rar", float("nan"), "--guidance_power=nan is not positive"),
    ],
)
def test_refuses_a_power_that_guidance_does_not_have(family, power, words):
    with pytest.raises(InputError, match=words):
        RegenerationAttack(TARGETS[family](), Sampling(guidance=2.0, guidance_power=power))
