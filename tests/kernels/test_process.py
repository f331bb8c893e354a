"""Processes: what they say, in their own coordinates and in variance-preserving ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.process import (
    CLEAN,
    NUM_TIMESTEPS,
    Prediction,
    Process,
    add_noise,
    denoised,
    network_input,
    noise_levels,
    what_is_predicted,
)
from jaxaudit_kernels.processes import cosine, linear_beta, linear_flow, respace, scaled_linear_beta


def trigonometric_flow():
    """A declaration of its own: s = cos(πu/2), σ = sin(πu/2), the velocity along u."""
    angle = np.pi / 2 * np.linspace(0.01, 0.99, 150)
    return Process(
        signal=np.cos(angle),
        spread=np.sin(angle),
        times=2 / np.pi * angle,
        predicts=Prediction(clean=-np.pi / 2 * np.sin(angle), noise=np.pi / 2 * np.cos(angle)),
    )


PROCESSES = {
    "noise": linear_beta(),
    "noise_from_1": scaled_linear_beta(first_time=1),
    "v": scaled_linear_beta(predicts="v"),
    "clean": cosine(predicts="clean"),
    "respaced_v": respace(linear_beta(predicts="v"), 137),
    "rectified_flow": linear_flow(),
    "sit": linear_flow(time_of="data"),
    "lfm": linear_flow(least_spread=1e-5),
    "trigonometric_flow": trigonometric_flow(),
}
LEVELS = np.array([0, 3, 11, 60, 110, 136])
SHAPE = (len(LEVELS), 3, 3, 2)
X, NOISE = np.random.default_rng(0).standard_normal((2, *SHAPE))


@pytest.mark.parametrize("name", PROCESSES)
def test_what_the_network_reads_is_the_process(name):
    """x_t of (3), written in the network's own way, is s x_0 + σ ε at the time of the level."""
    process, index = PROCESSES[name], jnp.asarray(LEVELS)
    x_t = add_noise(jnp.float32(X), noise_levels(process, index), jnp.float32(NOISE))
    x, times = network_input(process, x_t, index)
    s, sigma = (table[LEVELS][:, None, None, None] for table in (process.signal, process.spread))
    np.testing.assert_allclose(x, s * X + sigma * NOISE, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(times, process.times[LEVELS], rtol=1e-6)
    assert times.dtype == (jnp.int32 if process.times.dtype.kind == "i" else jnp.float32)


@pytest.mark.parametrize("name", PROCESSES)
def test_an_oracle_gives_the_noise_back(name):
    """To float32's rounding of x_t, of which the noise is a small part at the first levels."""
    process, index = PROCESSES[name], jnp.asarray(LEVELS)

    def roundtrip(x, noise):
        x_t = add_noise(x, noise_levels(process, index), noise)
        return denoised(process, what_is_predicted(process, x, noise, index), x_t, index)

    seen = roundtrip(jnp.float32(X), jnp.float32(NOISE))
    assert seen.variance is None
    spread = np.sqrt(1 - process.alphas_cumprod[LEVELS])[:, None, None, None]
    assert np.max(np.abs(seen.eps - NOISE) * np.minimum(1.0, 10 * spread)) < 1e-5


@pytest.mark.parametrize("name", PROCESSES)
def test_errors_of_predictions_are_those_of_the_noise_in_other_units(name):
    """(5), where the network errs by a standard Gaussian."""
    process, index = PROCESSES[name], jnp.asarray(LEVELS)
    error = np.random.default_rng(1).standard_normal(SHAPE)
    x_t = add_noise(jnp.float32(X), noise_levels(process, index), jnp.float32(NOISE))
    output = what_is_predicted(process, jnp.float32(X), jnp.float32(NOISE), index) + jnp.float32(error)
    of_noise = denoised(process, output, x_t, index).eps - NOISE
    scale = process.error_scale[LEVELS][:, None, None, None]
    np.testing.assert_allclose(np.abs(scale * of_noise), np.abs(error), rtol=1e-3, atol=1e-3)


def test_who_predicts_velocities_and_where_noise_has_a_share():
    velocities = {name for name, process in PROCESSES.items() if process.predicts_velocity}
    assert velocities == PROCESSES.keys() - {"noise", "noise_from_1", "clean"}
    process = linear_flow(noise_to_signal=[0.25, 1.0, 4.0])  # 20%, 50% and 80% of noise
    assert [process.level_of_share(share) for share in (0.0, 0.3, 0.4, 0.6, 0.7, 1.0)] == [0, 0, 1, 1, 2, 2]


def test_velocities_are_the_derivatives_along_the_time_that_the_network_is_told():
    """(2) against differences of (1)."""
    step = 1e-6
    for time_of, sign in (("noise", 1), ("data", -1)):
        here, there = (
            linear_flow(
                time_of=time_of, least_spread=1e-3, noise_to_signal=[(1e-3 + 0.999 * u) / (1 - u), 99.0]
            )
            for u in (0.3, 0.3 + sign * step)
        )
        np.testing.assert_allclose(there.times[0] - here.times[0], step, rtol=1e-6)
        for table, weight in (("signal", here.predicts.clean), ("spread", here.predicts.noise)):
            change = (getattr(there, table)[0] - getattr(here, table)[0]) / step
            np.testing.assert_allclose(change, weight, rtol=1e-6)
    flow = trigonometric_flow()
    for table, weight in ((flow.signal, flow.predicts.clean), (flow.spread, flow.predicts.noise)):
        np.testing.assert_allclose(np.gradient(table, flow.times)[1:-1], weight[1:-1], rtol=1e-3)


def test_predictions_by_the_formulas_of_their_papers():
    """SiT: x − t v. Rectified flow: x + (1 − t) v. "v": √ᾱ v + √(1−ᾱ) x. Clean: (x − √ᾱ x̂) / √(1−ᾱ)."""
    index, output = jnp.asarray(LEVELS[1:]), jnp.float32(NOISE[1:])
    x_t = jnp.float32(X[1:])

    def published(name, x, t, signal, spread):
        return {
            "sit": lambda: x - t * output,
            "rectified_flow": lambda: x + (1 - t) * output,
            "lfm": lambda: x + (1 - t) * output,
            "v": lambda: signal * output + spread * x,
            "clean": lambda: (x - signal * output) / spread,
        }[name]()

    for name in ("sit", "rectified_flow", "lfm", "v", "clean"):
        process = PROCESSES[name]
        x, _ = network_input(process, x_t, index)
        tables = (process.times, process.signal, process.spread)
        columns = (table[LEVELS[1:]].astype(np.float32)[:, None, None, None] for table in tables)
        expected = published(name, x, *columns)
        scale = np.abs(expected).max(axis=(1, 2, 3), keepdims=True)
        eps = denoised(process, output, x_t, index).eps
        np.testing.assert_allclose(eps / scale, expected / scale, atol=2e-6, err_msg=name)


def test_a_learned_variance_follows_predicted_noise_and_nothing_else():
    index, x_t = jnp.asarray(LEVELS), jnp.float32(X)
    output = jnp.concatenate([x_t, jnp.float32(NOISE)], axis=-1)
    seen = denoised(PROCESSES["noise"], output, x_t, index)
    np.testing.assert_array_equal(seen.eps, x_t)
    np.testing.assert_array_equal(seen.variance, jnp.float32(NOISE))
    flow = denoised(PROCESSES["sit"], output, x_t, index)
    assert flow.variance is None
    np.testing.assert_array_equal(flow.eps, denoised(PROCESSES["sit"], x_t, x_t, index).eps)
    with pytest.raises(ValueError, match="3 channels; expected 2 or 4"):
        denoised(PROCESSES["sit"], output[..., :3], x_t, index)


def test_levels_of_processes():
    process = PROCESSES["noise"]
    signal, spread, index = noise_levels(process, jnp.array([0, 100, CLEAN]))
    kept = process.alphas_cumprod[[0, 100]]
    np.testing.assert_allclose(signal[:2], np.sqrt(kept), rtol=1e-6)
    np.testing.assert_allclose(spread[:2], np.sqrt(1 - kept), rtol=1e-6)
    assert (signal[2], spread[2], index.tolist()) == (1, 0, [0, 100, -1])
    z = jnp.ones((2, 1, 1, 3))
    for name, told in (("noise", [0, -1]), ("noise_from_1", [1, 0])):
        x, times = network_input(PROCESSES[name], z, jnp.array([0, CLEAN]))
        np.testing.assert_array_equal(x, z)
        assert times.tolist() == told
    assert np.isnan(network_input(PROCESSES["sit"], z, jnp.array([0, CLEAN]))[1]).tolist() == [False, True]


def test_one_level_for_all_is_that_of_each():
    process, x = PROCESSES["lfm"], jnp.float32(X)
    one, each = jnp.full((1, 1), 70), jnp.full(SHAPE[:2], 70)
    for function in (
        lambda index: network_input(process, x, index)[0],
        lambda index: denoised(process, jnp.float32(NOISE), x, index).eps,
        lambda index: add_noise(x, noise_levels(process, index), jnp.float32(NOISE)),
        lambda index: what_is_predicted(PROCESSES["v"], x, jnp.float32(NOISE), index),
    ):
        np.testing.assert_array_equal(function(one), function(each))
    with pytest.raises(ValueError, match="3 axes do not fit data with 2"):
        add_noise(x[0, 0], noise_levels(process, jnp.zeros((2, 1, 1), int)), x[0, 0])


def test_a_process_that_is_variance_preserving_and_predicts_noise_costs_nothing():
    """The compiled program has no operation that DiT and U-ViT do not need."""
    x, index = jnp.float32(X), jnp.asarray(LEVELS)
    for name in ("noise", "noise_from_1"):
        assert network_input(PROCESSES[name], x, index)[0] is x
        assert denoised(PROCESSES[name], x, x, index).eps is x


@pytest.mark.parametrize("num_levels", [100, 101, 137, 250, 999, 1000, 4000])
def test_timesteps_are_shares_of_the_levels(num_levels):
    levels = [linear_beta(num_levels, last=0.001).level(t) for t in range(NUM_TIMESTEPS)]
    assert (levels[0], levels[-1]) == (0, num_levels - 1)
    assert np.all(np.diff(levels) >= 0)
    shares = np.array(levels) / (num_levels - 1) - np.arange(1000) / 999
    assert np.abs(shares).max() <= 0.5 / (num_levels - 1) + 1e-12
    if num_levels == NUM_TIMESTEPS:
        assert levels == list(range(1000))
    assert np.all(np.diff(levels[:201:10]) > 0)  # scores look 10 timesteps apart, up to 110


def test_a_respaced_model_has_its_timesteps_where_the_noise_is_the_same():
    whole = linear_beta()
    few = respace(whole, 250)
    for t in range(0, 1000, 100):
        assert abs(int(few.times[few.level(t)]) - t) <= 2
    with pytest.raises(ValueError, match=r"Timestep 1000 is not in 0\.\.999"):
        few.level(1000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": np.ones(1), "spread": np.ones(1), "times": np.ones(1)}, "at least 2 levels, not 1"),
        ({"times": np.arange(4)}, "3 signals, 3 spreads and 4 times"),
        ({"spread": np.array([0.5, 0.4, 0.6])}, "Level 1 has no more noise than the one before"),
        ({"spread": np.array([0.5, 0.9, np.nan])}, "Level 2 has spread=nan; it must be 0 or more and finite"),
        ({"spread": np.array([0.5, 0.9, np.inf])}, "Level 2 has spread=inf"),
        ({"signal": np.array([0.6, 0.6, -0.6])}, "Level 2 has signal=-0.6"),
        ({"signal": np.array([0, 0.6, 0.5]), "spread": np.array([0, 0.9, 1])}, "neither signal nor noise"),
        (
            {"predicts": Prediction(np.array([0.0, 0.6, 0.0]), np.array([1.0, 0.9, 1.0]))},
            "predicted at level 1",
        ),
    ],
)
def test_what_is_no_process(changes, message, unchecked):
    facts = {"signal": np.full(3, 0.6), "spread": np.array([0.5, 0.9, 1.0]), "times": np.arange(3)}
    Process(**facts)
    with pytest.raises(ValueError, match=message):
        Process(**facts | changes)


def test_translations_are_differentiable():
    """The gradient by x_t of a linear network's ε̂ is the closed form."""
    process, index = PROCESSES["sit"], jnp.asarray(LEVELS)

    @jax.jit
    def total(x_t):
        x, _ = network_input(process, x_t, index)
        return jnp.sum(denoised(process, 0.7 * x, x_t, index).eps)

    t = process.times[LEVELS][:, None, None, None]
    c = process.scale[LEVELS][:, None, None, None]
    np.testing.assert_allclose(
        jax.grad(total)(jnp.float32(X)), np.broadcast_to(c * (1 - 0.7 * t), SHAPE), rtol=1e-5
    )
