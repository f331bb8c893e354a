"""The reverse step against recorded numbers, the published formulas in float64, and closed forms."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels import learned_variance
from jaxaudit_kernels.learned_variance import betas, posterior_log_variance
from jaxaudit_kernels.process import Denoised, add_noise, noise_levels, what_is_predicted
from jaxaudit_kernels.processes import cosine, linear_beta, linear_flow, respace
from tests.golden import weights

COSINE, LINEAR = cosine(), linear_beta()

training_losses = jax.jit(learned_variance.training_losses, static_argnums=0)
ancestral_step = jax.jit(learned_variance.ancestral_step, static_argnums=0, static_argnames="temperature")


@functools.partial(jax.jit, static_argnums=0)
def q_sample(process, x_start, index, noise):
    return add_noise(x_start, noise_levels(process, index), noise)


@functools.partial(jax.jit, static_argnums=0)
def reverse_step(process, x_t, index, output):
    return learned_variance.reverse_step(process, x_t, index, Denoised(*jnp.split(output, 2, axis=-1)))


def test_recorded_variances():
    _, io = weights.load("mar")
    found = posterior_log_variance(respace(COSINE, 100))
    np.testing.assert_array_equal(found.astype(np.float32), io["gen_posterior_log_variance_clipped"])


def test_the_steps_of_levels_are_those_they_were_declared_with():
    np.testing.assert_allclose(betas(LINEAR), np.linspace(1e-4, 0.02, 1000), rtol=1e-9)
    np.testing.assert_allclose(betas(COSINE)[-1], 0.999, rtol=1e-9)
    assert betas(COSINE)[-2] < 0.999
    np.testing.assert_allclose(betas(respace(LINEAR, 1000)), betas(LINEAR), rtol=1e-12)


def test_what_does_not_fit():
    output, x, index = jnp.zeros((2, 7)), jnp.zeros((2, 4)), jnp.zeros(2, int)
    with pytest.raises(ValueError, match="7 channels; expected 4 or 8"):
        learned_variance.training_losses(LINEAR, output, x, index, x)
    with pytest.raises(ValueError, match="has learned no variance"):
        learned_variance.reverse_step(LINEAR, x, index, Denoised(x))


def published_quantities(process, t, output, x_start, noise):
    """x_t, losses, mean and log-variance of p, by the published formulas, for one timestep, in float64."""
    beta, level = betas(process), process.alphas_cumprod
    before = 1.0 if t == 0 else level[t - 1]
    eps, v = np.split(output, 2, axis=-1)
    x_t = np.sqrt(level[t]) * x_start + np.sqrt(1 - level[t]) * noise
    x_hat = np.sqrt(1 / level[t]) * x_t - np.sqrt(1 / level[t] - 1) * eps
    first = beta[t] * np.sqrt(before) / (1 - level[t])
    second = (1 - before) * np.sqrt(1 - beta[t]) / (1 - level[t])
    q_mean, p_mean = first * x_start + second * x_t, first * x_hat + second * x_t
    s = max(t, 1)
    q_log = np.log(beta[s] * (1 - level[s - 1]) / (1 - level[s]))
    p_log = (v + 1) / 2 * np.log(beta[t]) + (1 - v) / 2 * q_log
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
    "process", [COSINE, LINEAR, respace(COSINE, 250)], ids=["cosine", "linear", "spaced"]
)
def test_published_formulas(process):
    """Every timestep class, t = 0 included, agrees with float64 although float32 computes it."""
    total = process.num_levels
    times = np.array([0, 0, 0, 1, 2, 5, total // 2, total - 2, total - 1])
    random = np.random.default_rng(0)
    x_start = random.normal(size=(len(times), 3, 4))
    x_start[0] = [[-1.0, 1.0, 0.0, 0.5]] * 3  # both open intervals
    noise = random.normal(size=x_start.shape)
    # Good predictions near t = 0, as a trained network's, so that its likelihood is not at its floor.
    eps = noise + random.normal(size=x_start.shape) * np.where(times == 0, 0.03, 1.0)[:, None, None]
    output = np.concatenate([eps, random.uniform(-1, 1, x_start.shape)], axis=-1)
    x_start, noise, output = (x.astype(np.float32) for x in (x_start, noise, output))

    losses = training_losses(process, output, x_start, times, noise)
    np.testing.assert_allclose(losses["loss"], losses["mse"] + losses["vb"], rtol=1e-6)
    x_t = q_sample(process, x_start, times, noise)
    mean, log_variance = reverse_step(process, x_t, times, output)
    for i, t in enumerate(times):
        wide = (x[i].astype(np.float64) for x in (output, x_start, noise))
        expected = published_quantities(process, t, *wide)
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


def test_a_loss_without_variance_is_that_of_what_the_process_predicts():
    """Its gradient is 0 where the network predicts that, and there alone."""
    flow, index = linear_flow(time_of="data"), jnp.array([0, 400, 999])
    keys = jax.random.split(jax.random.key(2), 3)
    x, noise, other = (jax.random.normal(key, (3, 2, 2, 4)) for key in keys)
    right = what_is_predicted(flow, x, noise, index)
    assert not np.any(training_losses(flow, right, x, index, noise)["loss"])
    wrong = training_losses(flow, right + other, x, index, noise)
    np.testing.assert_allclose(wrong["loss"], np.mean(np.square(other), axis=(1, 2, 3)), rtol=1e-5)
    untrained = training_losses(flow, jnp.concatenate([right + other, other], -1), x, index, noise)
    assert wrong.keys() == untrained.keys() == {"mse", "loss"}
    np.testing.assert_array_equal(untrained["loss"], wrong["loss"])


def test_the_last_ancestral_step_ends_at_the_clean_picture():
    spaced, first = respace(LINEAR, 20), jnp.array([0, 0])
    keys = jax.random.split(jax.random.key(1), 2)
    x_start, noise = (jax.random.normal(key, (2, 3, 3, 4)) for key in keys)
    x_0 = q_sample(spaced, x_start, first, noise)
    drawn = ancestral_step(spaced, x_0, first, Denoised(noise, noise), jnp.full_like(x_0, 1e6))
    np.testing.assert_allclose(drawn, x_start, atol=1e-5)


def test_ancestral_step_spreads_as_it_says():
    """The step's noise has the standard deviation of (4) times the temperature."""
    t = jnp.array([50])
    x, output = jnp.array([[0.5]]), jnp.array([[0.1, 0.2]])
    mean, log_variance = reverse_step(LINEAR, x, t, output)
    seen = Denoised(output[:, :1], output[:, 1:])
    drawn = ancestral_step(LINEAR, x, t, seen, jnp.array([[2.0]]), temperature=0.5)
    np.testing.assert_allclose(drawn - mean, 0.5 * 2.0 * np.exp(0.5 * log_variance), rtol=1e-4)
    low, high = posterior_log_variance(LINEAR)[50], math.log(betas(LINEAR)[50])
    np.testing.assert_allclose(log_variance[0, 0], 0.6 * high + 0.4 * low, rtol=1e-5)
