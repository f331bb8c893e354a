"""Declared processes against recorded tables and the numbers of their papers."""

import numpy as np
import pytest

from jaxaudit_kernels.processes import (
    DECLARATIONS,
    cosine,
    declared,
    linear_beta,
    linear_flow,
    respace,
    scaled_linear_beta,
)
from tests.golden import weights


def test_recorded_levels():
    _, io = weights.load("mar")
    whole, spaced = cosine(), respace(cosine(), 100)
    np.testing.assert_array_equal(whole.alphas_cumprod.astype(np.float32), io["train_alphas_cumprod"])
    np.testing.assert_array_equal(spaced.alphas_cumprod.astype(np.float32), io["gen_alphas_cumprod"])
    np.testing.assert_array_equal(spaced.times, io["gen_timestep_map"])
    _, io = weights.load("dit")
    np.testing.assert_allclose(linear_beta().alphas_cumprod, io["alphas_cumprod"], rtol=1e-6)
    np.testing.assert_array_equal(linear_beta().times, np.arange(1000))
    _, io = weights.load("uvit")
    process = scaled_linear_beta(first_time=1)
    np.testing.assert_allclose(process.alphas_cumprod, io["cum_alphas"][1:], rtol=1e-6)
    np.testing.assert_array_equal(process.times, np.arange(1, 1001))
    assert process.alphas_cumprod[0] == pytest.approx(1 - 0.00085, rel=1e-12)
    assert process.alphas_cumprod.dtype == np.float64


@pytest.mark.parametrize("options", [{}, {"time_of": "data"}, {"least_spread": 1e-5}])
def test_a_timestep_of_a_flow_is_the_noise_of_ddpm(options):
    """Noise fractions σ / (s + σ) of DiT's linear β at t = 0, 100, ..., 900."""
    flow = linear_flow(**options)
    fractions = [0.0099, 0.2550, 0.4198, 0.5536, 0.6712, 0.7749, 0.8606, 0.9232, 0.9626, 0.9838]
    found = flow.spread / (flow.signal + flow.spread)
    np.testing.assert_allclose([found[flow.level(t)] for t in range(0, 1000, 100)], fractions, atol=5e-5)
    np.testing.assert_allclose(flow.alphas_cumprod, linear_beta().alphas_cumprod, rtol=1e-9)


def test_paths_of_flows():
    ratio = np.array([0.1, 1.0, 9.0])
    sit = linear_flow(time_of="data", noise_to_signal=ratio)
    np.testing.assert_allclose(sit.times, 1 / (1 + ratio), rtol=1e-12)
    np.testing.assert_allclose(sit.signal, sit.times, rtol=1e-12)
    np.testing.assert_allclose(sit.spread, 1 - sit.times, rtol=1e-12)
    assert sit.predicts == (1.0, -1.0)
    lfm = linear_flow(least_spread=1e-5, noise_to_signal=ratio)
    np.testing.assert_allclose(lfm.signal, 1 - lfm.times, rtol=1e-12)
    np.testing.assert_allclose(lfm.spread, 1e-5 + (1 - 1e-5) * lfm.times, rtol=1e-12)
    np.testing.assert_allclose(lfm.spread / lfm.signal, ratio, rtol=1e-9)
    assert lfm.predicts == (-1.0, 1 - 1e-5)
    with pytest.raises(ValueError, match=r"noise_to_signal=1e-06 is less than least_spread=1e-05"):
        linear_flow(least_spread=1e-5, noise_to_signal=[1e-6, 1.0])


def test_respaced_levels():
    linear = linear_beta()
    np.testing.assert_array_equal(respace(linear, 4).times, [0, 333, 666, 999])
    np.testing.assert_array_equal(respace(linear, 3).times, [0, 500, 999])  # 499.5, to even
    v = respace(linear_beta(predicts="v"), 4)
    np.testing.assert_array_equal(v.predicts.noise, linear_beta().signal[[0, 333, 666, 999]])
    with pytest.raises(ValueError, match=r"num_levels=1001 is not in 2\.\.1000"):
        respace(linear, 1001)
    with pytest.raises(ValueError, match="at least 2 levels"):
        linear_beta(1)


def test_a_config_declares_a_process():
    flow = declared({"name": "linear_flow", "time_of": "data"})
    np.testing.assert_array_equal(flow.times, linear_flow(time_of="data").times)
    assert declared({"time_of": "data", "name": "linear_flow"}) is flow
    assert declared({"name": "linear_flow"}) is not flow
    for name in DECLARATIONS:
        told = {"betas": [1e-3] * 1000} if name == "listed_betas" else {}
        assert declared({"name": name, **told}).num_levels == 1000


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "liner_flow"}, "Process 'liner_flow' is none of linear_beta, "),
        ({}, "Process None is none of"),
        ({"name": "linear_flow", "sigma": 1}, "'linear_flow': .*unexpected keyword argument 'sigma'"),
        ({"name": "linear_beta", "last": 1.2}, r"β=1\.00062 at level 833 is not in \(0, 1\]"),
        ({"name": "linear_beta", "first": 0.0}, r"β=0 at level 0 is not in \(0, 1\]"),
        ({"name": "linear_beta", "first": float("nan")}, "β=nan at level 0"),
        ({"name": "scaled_linear_beta", "first": -0.1}, "β must be a real number for each level"),
        ({"name": "listed_betas", "betas": [0.1, -0.2, 0.5]}, "β=-0.2 at level 1"),
        ({"name": "listed_betas", "betas": [0.1, 1.0, 0.5]}, "Level 2 has no more noise than the one before"),
        ({"name": "listed_betas", "betas": [[0.1, 0.2]]}, "β must be a real number for each level"),
        ({"name": "cosine", "largest_beta": 0.0}, "β=0 at level 0"),
        ({"name": "linear_flow", "least_spread": float("nan")}, "Level 0 has signal=nan"),
        (
            {"name": "linear_flow", "noise_to_signal": [0.1, float("inf")]},
            "noise_to_signal=inf is not finite",
        ),
        ({"name": "linear_beta", "predicts": "velocity"}, "predicts='velocity' is none of noise, v, clean"),
        ({"name": "linear_flow", "time_of": "picture"}, "time_of='picture' is neither noise nor data"),
    ],
)
def test_configs_that_declare_none(config, message, unchecked):
    with pytest.raises(ValueError, match=message):
        declared(config)
