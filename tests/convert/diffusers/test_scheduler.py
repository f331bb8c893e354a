"""Schedulers' configs to processes: the recorded levels, whatever the class of the sampler."""

import numpy as np
import pytest

from checkpoints_convert.diffusers.scheduler import process
from checkpoints_convert.diffusers.settings import Settings
from jaxaudit.errors import InputError
from jaxaudit_kernels.processes import declared, linear_beta, linear_flow
from tests.golden import weights

STABLE_DIFFUSION = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "trained_betas": None,
}


def told(**changes):
    return process(Settings("scheduler_config.json", STABLE_DIFFUSION | changes))


def test_what_is_default_goes_without_saying():
    assert told() == {"name": "scaled_linear_beta"}
    assert told(beta_schedule="linear", beta_start=1e-4, beta_end=0.02) == {"name": "linear_beta"}
    assert told(beta_schedule="squaredcos_cap_v2") == {"name": "cosine"}
    assert told(_class_name="FlowMatchEulerDiscreteScheduler", shift=3.0) == {
        "name": "linear_flow",
        "largest_time": 1000.0,
    }
    assert told(beta_end=0.0195, num_train_timesteps=500, prediction_type="sample") == {
        "name": "scaled_linear_beta",
        "num_levels": 500,
        "last": 0.0195,
        "predicts": "clean",
    }


def test_recorded_levels():
    _, io = weights.load("diffusers_sd")
    for declaration, name in (
        (told(), "alphas_cumprod"),
        (told(prediction_type="v_prediction", rescale_betas_zero_snr=True), "alphas_cumprod_zero_snr"),
    ):
        found = declared(declaration)
        np.testing.assert_allclose(found.alphas_cumprod, io[name], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(found.times, np.arange(1000))
    assert found.alphas_cumprod[-1] == 0.0
    np.testing.assert_array_equal(found.predicts.clean, -found.spread)


def test_betas_one_by_one_are_those_of_a_schedule():
    betas = np.linspace(1e-4, 0.02, 1000).tolist()
    found = declared(told(trained_betas=betas))
    np.testing.assert_array_equal(found.alphas_cumprod, linear_beta().alphas_cumprod)


def test_a_flow_is_told_a_thousand_times_the_time():
    found, plain = declared(told(_class_name="FlowMatchEulerDiscreteScheduler")), linear_flow()
    np.testing.assert_allclose(found.times, 1000 * plain.times, rtol=1e-12)
    np.testing.assert_array_equal(found.alphas_cumprod, plain.alphas_cumprod)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"beta_schedule": "sigmoid"},
            "beta_schedule='sigmoid'; known are linear, scaled_linear, squaredcos",
        ),
        ({"prediction_type": "flow_prediction"}, "prediction_type='flow_prediction'; known are epsilon"),
        ({"beta_end": "0.02"}, "beta_end='0.02'; expected a value of type float"),
        ({"beta_end": 12.0}, r"is no process: β=.* is not in \(0, 1\]"),
        ({"beta_end": float("nan")}, "is no process: β=nan"),
        ({"trained_betas": [0.1, 0.2, 1.5, 0.3]}, "is no process: β=1.5 at level 2"),
        ({"trained_betas": 0.1}, "trained_betas=0.1; expected one or more numbers"),
        ({"beta_schedule": ["linear"]}, r"beta_schedule=\['linear'\]; expected a value of type str"),
        ({"prediction_type": {}}, "prediction_type={}; expected a value of type str"),
        ({"num_train_timesteps": "many"}, "num_train_timesteps='many'; expected a value of type int"),
        ({"num_train_timesteps": 1}, "is no process: A process needs at least 2 levels"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_schedules_that_are_not_known(changes, message):
    with pytest.raises(InputError, match=f"scheduler_config.json .*{message}"):
        told(**changes)
    with pytest.raises(InputError, match="of a EDMEulerScheduler, does not say its beta_start"):
        process(Settings("scheduler_config.json", {"_class_name": "EDMEulerScheduler"}))
