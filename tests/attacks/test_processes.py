"""Every score under processes of all sorts: it sees the noise, however the network was taught to see it."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.diffusion import PERCENTS, TIMESTEPS
from jaxaudit.attacks.diffusion_graph import Setting
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit_kernels.process import Prediction, Process
from jaxaudit_kernels.processes import (
    from_betas,
    linear_beta,
    linear_flow,
    respace,
    scaled_linear_beta,
)
from tests import tiny_diffusion

B = 5
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(-1, 1, (B, 8, 8, 3)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, B)
LINEAR = linear_beta()
SIGNAL = jnp.asarray(np.sqrt(LINEAR.alphas_cumprod), jnp.float32)
SPREAD = jnp.asarray(np.sqrt(1 - LINEAR.alphas_cumprod), jnp.float32)


def counting(params, x, time, condition):
    """Output of a network that predicts whatever we say it does, told timesteps."""
    return tiny_diffusion.network(params, x, time, condition)[..., :3]


def flowing(params, x, time, condition):
    """The same told times in [0, 1]."""
    return counting(params, x, 1000 * time, condition)


# The same networks written as models of the noise, by the formulas of their papers: told the level of DDPM's
# linear β, they find out what the network reads there, ask it, and turn its answer into ε̂.


def at(table, level):
    return table[level][:, None, None, None]


def as_noise_of_sit(params, z, level, condition):
    """x = t x_0 + (1 − t) ε, v = x_0 − ε;  ε̂ = x − t v."""
    a, b = at(SIGNAL, level), at(SPREAD, level)
    x, t = z / (a + b), a / (a + b)
    return x - t * flowing(params, x, t[:, 0, 0, 0], condition)


def as_noise_of_rectified_flow(params, z, level, condition):
    """x = (1 − t) x_0 + t ε, v = ε − x_0;  ε̂ = x + (1 − t) v."""
    a, b = at(SIGNAL, level), at(SPREAD, level)
    x, t = z / (a + b), b / (a + b)
    return x + (1 - t) * flowing(params, x, t[:, 0, 0, 0], condition)


def as_noise_of_v(params, z, level, condition):
    """ε̂ = √ᾱ v + √(1 − ᾱ) z."""
    a, b = at(SIGNAL, level), at(SPREAD, level)
    return a * counting(params, z, level, condition) + b * z


def as_noise_of_clean(params, z, level, condition):
    """ε̂ = (z − √ᾱ x̂_0) / √(1 − ᾱ)."""
    a, b = at(SIGNAL, level), at(SPREAD, level)
    return (z - a * counting(params, z, level, condition)) / b


CASES = {
    "sit": (linear_flow(time_of="data"), flowing, as_noise_of_sit),
    "rectified_flow": (linear_flow(), flowing, as_noise_of_rectified_flow),
    "v": (linear_beta(predicts="v"), counting, as_noise_of_v),
    "clean": (linear_beta(predicts="clean"), counting, as_noise_of_clean),
}


@functools.cache
def scores(process, network, names=("all", "arl")):
    return jaxaudit.score(
        tiny_diffusion.target(process=process, network=network), IMAGES, LABELS, names=names
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sit", "v", "rectified_flow", "clean"])
def test_a_model_scores_what_it_scores_written_as_a_prediction_of_noise(name):
    """Every score, those by gradients and by L-BFGS among them, to 1e-5 of the larger of the two."""
    process, network, as_noise = CASES[name]
    found, expected = scores(process, network), scores(LINEAR, as_noise)
    assert len(expected) == 74
    velocities = {f"velocity_loss_{u}" for u in PERCENTS} if process.predicts_velocity else set()
    assert found.keys() - expected.keys() == velocities
    for score, values in expected.items():
        np.testing.assert_allclose(found[score], values, rtol=1e-5, atol=1e-5, err_msg=score)
        assert len(set(values.tolist())) == B, score


def test_as_many_looks_as_for_a_model_of_the_noise():
    common = [score.name for score in make_step(tiny_diffusion.target(), "all").scores]

    def evaluations(process, network):
        return make_step(tiny_diffusion.target(process=process, network=network), common).evaluations()

    expected = evaluations(LINEAR, counting)
    assert expected["planned"].passes == 98
    for process, network, _ in CASES.values():
        assert evaluations(process, network) == expected


@pytest.mark.parametrize("options", [{"time_of": "data"}, {"least_spread": 1e-5}, {}])
def test_velocity_losses_are_those_of_the_papers(options):
    """‖±(ε − z) − v(x, t)‖ with x = (1 − u) z + u ε, as far from u = 10%, 20%, …, 90% as levels lie apart."""
    process, data = linear_flow(**options), options.get("time_of") == "data"
    target = tiny_diffusion.target(process=process, network=flowing)
    latents = IMAGES.reshape(B, 4, 2, 4, 2, 3).mean((2, 4))
    noise = np.random.default_rng(1).standard_normal((B, 4, 4, 3)).astype(np.float32)
    given = jaxaudit.score(
        target, labels=LABELS, latents=latents, noise=noise[None], names=["velocity_loss_*"]
    )
    assert len(given) == 9
    for percent in PERCENTS:
        level = process.level_of_share(percent / 100)
        u, t = process.spread[level], process.times[level]
        assert abs(u / (process.signal[level] + u) - percent / 100) < 2e-3
        x = process.signal[level] * latents + u * noise
        v = flowing(target.params, jnp.asarray(x, jnp.float32), jnp.full(B, t, jnp.float32), LABELS)
        taught = latents - noise if data else (1 - options.get("least_spread", 0.0)) * noise - latents
        error = np.sqrt(np.sum((taught - v) ** 2, axis=(1, 2, 3)))
        np.testing.assert_allclose(given[f"velocity_loss_{percent}"], -error, rtol=1e-4)


def trigonometric_flow():
    """All it takes to add a process: levels, what the network is told of them, and what it predicts."""
    u = np.linspace(0.005, 0.995, 120)
    s, sigma = np.cos(np.pi / 2 * u), np.sin(np.pi / 2 * u)
    return Process(signal=s, spread=sigma, times=u, predicts=Prediction(-np.pi / 2 * sigma, np.pi / 2 * s))


@pytest.mark.slow
def test_a_process_of_ones_own_has_every_score():
    """And has them at the noise that it says: an oracle sees all of it, so that nothing is left to score."""
    process = trigonometric_flow()
    assert not any(map(np.any, (np.isnan(each) for each in scores(process, flowing).values())))
    clean = IMAGES.reshape(B, 4, 2, 4, 2, 3).mean((2, 4))

    def oracle(params, x, u, condition):
        s, sigma = jnp.cos(np.pi / 2 * u), jnp.sin(np.pi / 2 * u)
        s, sigma = s[:, None, None, None], sigma[:, None, None, None]
        noise = (x - s * clean[:1]) / sigma
        return np.pi / 2 * (s * noise - sigma * clean[:1])

    names = ("denoising_loss", "multiple_loss_*", "unified_loss")
    target = tiny_diffusion.target("nothing", process, network=oracle)
    for name, values in jaxaudit.score(target, IMAGES[:1], names=names).items():
        np.testing.assert_allclose(values, 0, atol=1e-3, err_msg=name)


def test_a_respaced_model_scores_about_what_the_whole_one_does():
    """Timesteps of 1,000 are found among 250 levels, no more than two away."""
    whole, few = (
        scores(process, tiny_diffusion.network, ("multiple_loss_*", "denoising_loss", "pia"))
        for process in (LINEAR, respace(LINEAR, 250))
    )
    for name, values in whole.items():
        np.testing.assert_allclose(few[name], values, rtol=0.02, err_msg=name)


@pytest.mark.parametrize(
    ("process", "levels"),
    [
        (LINEAR, {0: 0, 100: 100, 900: 900}),
        (scaled_linear_beta(first_time=1), {0: -1, 100: 99, 900: 899}),
        (linear_flow(), {0: 0, 100: 100, 900: 900}),
        (linear_beta(predicts="v", first_time=1), {0: 0, 100: 100, 900: 900}),
        (from_betas(np.full(200, 0.02), first_time=1), {0: 0, 100: 20, 900: 179}),
    ],
    ids=["from_0", "from_1", "flow", "v", "few"],
)
def test_published_audits_tell_a_network_that_counts_the_timestep_itself(process, levels):
    setting = Setting(process, 5)
    assert {t: setting.level(t, published=True) for t in levels} == levels
    assert all(setting.level(t) == process.level(t) for t in TIMESTEPS)


def test_only_what_differs_has_a_program_of_its_own():
    """Equal configs share their process, so that their steps are equal, hence compiled once."""
    first, again = (make_step(tiny_diffusion.target(process=linear_flow()), "secmi") for _ in range(2))
    assert first != again
    flow = linear_flow()
    first, again = (make_step(tiny_diffusion.target(process=flow), "secmi") for _ in range(2))
    assert first == again
    assert dataclasses.replace(first, process=LINEAR) != again
