"""Diffusion kernels against recorded schedules, the published formulas in float64, and closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels import diffusion
from tests.golden import weights

COSINE = diffusion.cosine_schedule()
LINEAR = diffusion.linear_schedule()

training_losses = jax.jit(diffusion.training_losses, static_argnums=0)
q_sample = jax.jit(diffusion.q_sample, static_argnums=0)
p_mean_log_variance = jax.jit(diffusion.p_mean_log_variance, static_argnums=0)
ancestral_step = jax.jit(diffusion.ancestral_step, static_argnums=0, static_argnames="temperature")
ddim_step = jax.jit(diffusion.ddim_step, static_argnums=0)


def test_recorded_schedules():
    _, io = weights.load("mar")
    spaced = diffusion.respace(COSINE, 100)
    np.testing.assert_array_equal(COSINE.alphas_cumprod.astype(np.float32), io["train_alphas_cumprod"])
    np.testing.assert_array_equal(spaced.alphas_cumprod.astype(np.float32), io["gen_alphas_cumprod"])
    np.testing.assert_array_equal(spaced.timesteps, io["gen_timestep_map"])
    np.testing.assert_array_equal(
        spaced.posterior_log_variance.astype(np.float32), io["gen_posterior_log_variance_clipped"]
    )


def test_schedule_facts():
    assert COSINE.betas[-1] == 0.999
    assert COSINE.betas[-2] < 0.999
    np.testing.assert_allclose(
        [LINEAR.betas[0], LINEAR.betas[1], LINEAR.betas[-1]], [1e-4, 1e-4 + 0.0199 / 999, 0.02]
    )
    np.testing.assert_array_equal(diffusion.respace(LINEAR, 4).timesteps, [0, 333, 666, 999])
    np.testing.assert_array_equal(diffusion.respace(LINEAR, 3).timesteps, [0, 500, 999])  # 499.5, to even
    same = diffusion.respace(LINEAR, 1000)
    np.testing.assert_allclose(same.betas, LINEAR.betas, rtol=1e-9)


@pytest.mark.usefixtures("unchecked")
def test_impossible_schedules():
    with pytest.raises(ValueError, match=r"steps=1001 is not in 2\.\.1000"):
        diffusion.respace(LINEAR, 1001)
    with pytest.raises(ValueError, match="at least 2 steps"):
        diffusion.linear_schedule(1)
    with pytest.raises(ValueError, match="7 channels; expected 8"):
        diffusion.training_losses(
            LINEAR, jnp.zeros((2, 7)), jnp.zeros((2, 4)), jnp.zeros(2, int), jnp.zeros((2, 4))
        )
    with pytest.raises(ValueError, match="3 axes do not fit data with 2"):
        diffusion.q_sample(LINEAR, jnp.zeros((2, 4)), jnp.zeros((2, 1, 1), int), jnp.zeros((2, 4)))


def test_timestep_embedding():
    t = np.array([[0, 1], [500, 999]])
    expected = np.empty((2, 2, 6))
    for i in range(3):
        frequency = 10000 ** (-i / 3)
        expected[..., i], expected[..., 3 + i] = np.cos(t * frequency), np.sin(t * frequency)
    np.testing.assert_allclose(diffusion.timestep_embedding(jnp.array(t), 6), expected, atol=1e-4)


def published_quantities(schedule, t, output, x_start, noise):
    """x_t, losses, mean and log-variance of p, by the published formulas, for one timestep, in float64."""
    betas, level = schedule.betas, schedule.alphas_cumprod
    before = 1.0 if t == 0 else level[t - 1]
    eps, v = np.split(output, 2, axis=-1)
    x_t = np.sqrt(level[t]) * x_start + np.sqrt(1 - level[t]) * noise
    x_hat = np.sqrt(1 / level[t]) * x_t - np.sqrt(1 / level[t] - 1) * eps
    first = betas[t] * np.sqrt(before) / (1 - level[t])
    second = (1 - before) * np.sqrt(1 - betas[t]) / (1 - level[t])
    q_mean, p_mean = first * x_start + second * x_t, first * x_hat + second * x_t
    s = max(t, 1)
    q_log = np.log(betas[s] * (1 - level[s - 1]) / (1 - level[s]))
    p_log = (v + 1) / 2 * np.log(betas[t]) + (1 - v) / 2 * q_log
    if t > 0:
        vb = 0.5 * (-1 + p_log - q_log + np.exp(q_log - p_log) + (q_mean - p_mean) ** 2 * np.exp(-p_log))
    else:

        def cdf(u):
            return 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3)))

        inverse, offset = np.exp(-0.5 * p_log), x_start - p_mean
        upper, lower = cdf(inverse * (offset + 1 / 255)), cdf(inverse * (offset - 1 / 255))
        probability = np.where(x_start < -0.999, upper, np.where(x_start > 0.999, 1 - lower, upper - lower))
        vb = -np.log(np.maximum(probability, 1e-12))
    losses = {"mse": np.mean((noise - eps) ** 2), "vb": np.mean(vb) / np.log(2)}
    return losses | {"x_t": x_t, "mean": p_mean, "log": p_log}


@pytest.mark.parametrize(
    "schedule", [COSINE, LINEAR, diffusion.respace(COSINE, 250)], ids=["cosine", "linear", "spaced"]
)
def test_published_formulas(schedule):
    """Every timestep class, t = 0 included, agrees with float64 although float32 computes it."""
    total = len(schedule.betas)
    times = np.array([0, 0, 0, 1, 2, 5, total // 2, total - 2, total - 1])
    random = np.random.default_rng(0)
    x_start = random.normal(size=(len(times), 3, 4))
    x_start[0] = [[-1.0, 1.0, 0.0, 0.5]] * 3  # both open intervals
    noise = random.normal(size=x_start.shape)
    # Good predictions near t = 0, as a trained network's, so that its likelihood is not at its floor.
    eps = noise + random.normal(size=x_start.shape) * np.where(times == 0, 0.03, 1.0)[:, None, None]
    output = np.concatenate([eps, random.uniform(-1, 1, x_start.shape)], axis=-1)
    x_start, noise, output = (x.astype(np.float32) for x in (x_start, noise, output))

    losses = training_losses(schedule, output, x_start, times, noise)
    np.testing.assert_allclose(losses["loss"], losses["mse"] + losses["vb"], rtol=1e-6)
    x_t = q_sample(schedule, x_start, times, noise)
    mean, log_variance = p_mean_log_variance(schedule, x_t, times, output)
    for i, t in enumerate(times):
        wide = (x[i].astype(np.float64) for x in (output, x_start, noise))
        expected = published_quantities(schedule, t, *wide)
        actual = {"mse": losses["mse"][i], "vb": losses["vb"][i], "x_t": x_t[i], "log": log_variance[i]}
        for name, value in actual.items():
            np.testing.assert_allclose(value, expected[name], rtol=2e-5, atol=1e-5, err_msg=f"{name} at {t}")
        scale = np.abs(expected["mean"]).max()
        np.testing.assert_allclose(mean[i] / scale, expected["mean"] / scale, atol=1e-6)


def test_one_timestep_for_all():
    """A timestep with axes of length 1 serves all tokens as one of their own would."""
    shape = (2, 3, 4)
    keys = jax.random.split(jax.random.key(0), 3)
    x, noise = (jax.random.normal(key, shape) for key in keys[:2])
    output = jax.random.normal(keys[2], (2, 3, 8))
    one, all_ = jnp.full((1, 1), 300), jnp.full((2, 3), 300)
    shared = training_losses(LINEAR, output, x, one, noise)
    for name, each in training_losses(LINEAR, output, x, all_, noise).items():
        assert each.shape == (2, 3)
        np.testing.assert_array_equal(each, shared[name])


def test_perfect_prediction_costs_nothing():
    x, noise = np.ones((1, 5), np.float32), np.ones((1, 5), np.float32)
    output = np.concatenate([noise, -np.ones_like(noise)], axis=-1)  # v = -1: the posterior's own variance
    losses = training_losses(COSINE, output, x, np.array([400]), noise)
    assert {name: float(value[0]) for name, value in losses.items()} == {"mse": 0.0, "vb": 0.0, "loss": 0.0}


@pytest.mark.parametrize("t", [0, 400])
def test_bound_trains_the_variance_only(t):
    x = jnp.full((1, 2), 0.3)
    output = jnp.array([[0.1, -0.2, 0.3, 0.4]])

    def vb(output):
        return training_losses(COSINE, output, x, jnp.array([t]), jnp.zeros_like(x))["vb"][0]

    gradient = jax.jit(jax.grad(vb))(output)
    np.testing.assert_array_equal(gradient[:, :2], 0.0)
    step = jnp.array([[0.0, 0.0, 1e-2, 0.0]])
    np.testing.assert_allclose(gradient[0, 2], (vb(output + step) - vb(output - step)) / 2e-2, rtol=1e-2)
    assert gradient[0, 2] != 0


def test_steps_towards_a_known_picture():
    """With the true noise, DDIM runs along one path both ways, and the last ancestral step ends at x_0."""
    spaced = diffusion.respace(LINEAR, 20)
    keys = jax.random.split(jax.random.key(1), 2)
    x_start, noise = (jax.random.normal(key, (2, 3, 3, 4)) for key in keys)
    at = {t: q_sample(spaced, x_start, jnp.array([t] * 2), noise) for t in (3, 10)}
    for begin, end in [(10, 3), (3, 10)]:
        moved = ddim_step(spaced, at[begin], jnp.array([begin] * 2), jnp.array([end] * 2), noise)
        np.testing.assert_allclose(moved, at[end], atol=1e-5)
    clean = ddim_step(spaced, at[10], jnp.array([10] * 2), jnp.array([-1] * 2), noise)
    np.testing.assert_allclose(clean, x_start, atol=1e-5)
    first = jnp.array([0, 0])
    x_0 = q_sample(spaced, x_start, first, noise)
    output = jnp.concatenate([noise, noise], axis=-1)
    drawn = ancestral_step(spaced, x_0, first, output, jnp.full_like(x_0, 1e6))
    np.testing.assert_allclose(drawn, x_start, atol=1e-5)


def test_ancestral_step_spreads_as_it_says():
    """The step's noise has the standard deviation of (4) times the temperature."""
    t = jnp.array([50])
    x, output = jnp.array([[0.5]]), jnp.array([[0.1, 0.2]])
    mean, log_variance = p_mean_log_variance(LINEAR, x, t, output)
    drawn = ancestral_step(LINEAR, x, t, output, jnp.array([[2.0]]), temperature=0.5)
    np.testing.assert_allclose(drawn - mean, 0.5 * 2.0 * np.exp(0.5 * log_variance), rtol=1e-4)
    low, high = LINEAR.posterior_log_variance[50], math.log(LINEAR.betas[50])
    np.testing.assert_allclose(log_variance[0, 0], 0.6 * high + 0.4 * low, rtol=1e-5)
