"""What the step of continuous tokens computes, and what it costs."""

import dataclasses
import functools
import zlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.continuous import TRAINING, MaskedLossConfig
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.errors import InputError
from jaxaudit.families import mar
from jaxaudit_kernels import draws
from tests import tiny_diffusion
from tests.tiny import MAR_OPTIONS, MAR_SCORES, mar_target, var_target

HIDDEN = 14  # of 16 tokens, under these options and in training


@functools.cache
def batch():
    generator = np.random.default_rng(0)
    return generator.uniform(-1, 1, (11, 8, 8, 3)).astype(np.float32), generator.integers(0, 10, 11)


@functools.partial(jax.jit, static_argnums=2)
def drawn(key, number, repetitions):
    """Hidden positions [M], timesteps [R,M] and noises [R,M,D] of one image."""
    keys = draws.image_keys(key, number[None])
    hidden = draws.hidden_positions(keys, 16, HIDDEN)
    times = draws.levels(keys, repetitions, HIDDEN, 1000)
    return hidden[0], times[:, 0], draws.noises(keys, repetitions, (HIDDEN, 4))[:, 0]


def loss_of(target, latents, label, sample_id, config, key):
    """[M]: the loss of each hidden token of one image, one noise after the other."""
    number = jnp.uint32(zlib.crc32(sample_id.encode()))
    hidden, times, noises = map(np.asarray, drawn(key, number, 3))
    mask = np.isin(np.arange(16), hidden)[None].astype(int)
    losses = []
    for noise, time in list(zip(noises, times, strict=True))[: config.num_noises]:
        everywhere, timestep = np.zeros((1, 16, 4), np.float32), np.zeros((1, 16), int)
        everywhere[0, hidden] = noise
        timestep[0, hidden] = time if config.timestep == "random" else config.timestep
        loss = target.token_losses(latents[None], np.array([label]), mask, timestep, everywhere)["loss"]
        losses.append(np.asarray(loss)[0, hidden])
    return np.mean(losses, axis=0)


def test_scores_are_those_of_a_loop_over_images_and_noises():
    target, key, (images, labels) = mar_target(), jax.random.key(5), batch()
    ids = [f"train/{i}.png" for i in range(11)]
    scores = jaxaudit.score(target, images, labels, names=MAR_SCORES, key=key, ids=ids, options=MAR_OPTIONS)
    latents = np.asarray(target.encode(images))
    for i in (0, 1, 10):
        cond, null = (
            loss_of(target, latents[i], label, ids[i], MAR_OPTIONS, key)
            for label in (labels[i], target.null_label)
        )
        size = len(zlib.compress(str(np.rint(100 * latents[i]).astype(int).tolist()).encode()))
        expected = {
            "cond/loss": -cond.mean(),
            "cond/zlib": -cond.mean() / size,
            "diff/min_k_20": -np.sort(cond - null)[-2:].mean(),
            "cond/unified_loss": -loss_of(target, latents[i], labels[i], ids[i], TRAINING, key).mean(),
            "cond/loss_ref": -cond.sum() / (3 * HIDDEN * 16),
        }
        assert expected.keys() == scores.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(scores[name][i], value, rtol=2e-5, err_msg=name)


def test_the_null_label_is_evaluated_only_for_scores_that_need_it():
    target, (images, labels) = mar_target(), batch()
    evaluated = []

    def conditions(params, latents, labels, hidden):
        evaluated.append(len(labels))
        return target.functions.conditions(params, latents, labels, hidden)

    for names in ("paper", "cond/unified_loss", "diff/loss", "cond/*"):
        step = make_step(target, names, MAR_OPTIONS)
        functions = dataclasses.replace(step.functions, conditions=conditions)
        step = dataclasses.replace(step, functions=functions, rows=None)
        inputs = {"images": images, "condition": labels, "ids": np.zeros(11, np.uint32)}
        jax.eval_shape(step, (target.params, jax.random.key(0)), inputs)
    assert evaluated == [11, 11, 22, 11, 11]


def test_all_images_at_once_give_the_scores_of_one_at_a_time():
    target, (images, labels) = mar_target(), batch()
    step = make_step(target, "diff/loss", MAR_OPTIONS)
    assert step.rows == 1  # on a CPU
    inputs = {"images": images, "condition": labels, "ids": np.arange(11, dtype=np.uint32)}
    one, every = (
        jax.jit(dataclasses.replace(step, rows=rows))((target.params, jax.random.key(0)), inputs)
        for rows in (1, None)
    )
    chex.assert_trees_all_close(one, every, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_options_that_do_not_fit_the_target():
    with pytest.raises(
        InputError, match="mask_ratio, timestep, num_noises do not apply to tiny: its tokens are discrete"
    ):
        make_step(var_target(), "cond/loss", MaskedLossConfig())
    with pytest.raises(InputError, match=r"Timestep 1000 is not in 0\.\.999"):
        make_step(mar_target(), "cond/loss", MaskedLossConfig(timestep=1000))
    with pytest.raises(InputError, match="num_noises do not apply to tiny: it is a diffusion"):
        make_step(tiny_diffusion.target(), "secmi", MaskedLossConfig())


# The published form: every noise passes through the whole head, with all tokens and its own conditioning.


def naive_losses(functions, params, latents, labels, hidden, timestep, noise):
    """[B,L]; 0 at visible tokens. `noise` [R,B,L,D]."""
    batch, length, _ = latents.shape
    rows = jnp.arange(batch)[:, None]
    z = functions.conditions(params, latents, labels, hidden)
    everywhere = jnp.zeros((batch, length, z.shape[-1])).at[rows, hidden].set(z)
    times = jnp.full(noise.shape[:3], timestep)  # one of its own for every noise
    losses = functions.head_losses(params, everywhere, latents, times, noise)["loss"].mean(0)
    return losses * jnp.zeros((batch, length)).at[rows, hidden].set(1.0)


def test_efficient_and_naive_losses_are_equal():
    target = mar_target()
    step = make_step(target, "cond/loss", MAR_OPTIONS)
    latents = np.random.default_rng(0).standard_normal((3, 16, 4)).astype(np.float32)
    labels = batch()[1][:3]

    @jax.jit
    def both(params, latents, labels, keys):
        hidden, (losses,) = step._losses(params, latents, [labels], keys, MAR_OPTIONS)
        noise = draws.noises(keys, 3, (HIDDEN, 4))
        everywhere = jnp.zeros((3, 3, 16, 4)).at[:, jnp.arange(3)[:, None], hidden].set(noise)
        naive = naive_losses(step.functions, params, latents, labels, hidden, 300, everywhere)
        return losses, jnp.take_along_axis(naive, hidden, axis=1), jnp.count_nonzero(naive)

    losses, naive, count = both(target.params, latents, labels, jax.random.split(jax.random.key(0), 3))
    np.testing.assert_allclose(losses, naive, rtol=1e-5)
    assert count == losses.size == 3 * HIDDEN


@pytest.mark.slow
def test_efficient_losses_cost_less_than_two_fifths(monkeypatch):
    """MAR-B and 64 noises, as XLA counts.

    XLA counts a loop's body once, so loops are unrolled for 2 and 3 noises; the cost is linear in them.
    """

    def unrolled(function, xs):
        slices = [jax.tree.map(lambda x, i=i: x[i], xs) for i in range(len(jax.tree.leaves(xs)[0]))]
        return jax.tree.map(lambda *parts: jnp.stack(parts), *map(function, slices))

    monkeypatch.setattr(jax.lax, "map", unrolled)
    config = mar.VARIANTS["mar_base"].config
    params = mar.abstract_params(config)
    target = mar.build_target("abstract", config, params, mar.VARIANTS["mar_base"].preprocessing, {})
    step = make_step(target, "cond/loss")
    latents = jax.ShapeDtypeStruct((1, 256, 16), jnp.float32)
    labels, hidden = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((1,), (1, 244)))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))

    def flops(function, *inputs):
        return jax.jit(function).lower(params, latents, labels, *inputs).cost_analysis()["flops"]

    def efficient(noises):
        config = dataclasses.replace(step.options, num_noises=noises)
        return flops(lambda params, x, label, key: step._losses(params, x, [label], key, config), keys)

    def naive(noises):
        noise = jax.ShapeDtypeStruct((noises, 1, 256, 16), jnp.float32)
        return flops(
            lambda params, x, label, hidden, noise: naive_losses(
                step.functions, params, x, label, hidden, 500, noise
            ),
            hidden,
            noise,
        )

    costs = [two + 62 * (form(3) - two) for form in (naive, efficient) for two in [form(2)]]
    assert costs[0] > 2.5 * costs[1]
