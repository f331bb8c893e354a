"""From the config of a scheduler to the process a pipeline was trained on.

Only what concerns training is read: betas, their number, and what is predicted. How a sampler spaces its
steps (DDIM, PNDM, ..., or the shift of a flow) is no matter of an audit.
"""

from __future__ import annotations

import inspect
from typing import Any

from checkpoints_convert.diffusers.settings import Settings
from jaxaudit.errors import InputError
from jaxaudit_kernels.processes import DECLARATIONS, declared, from_betas

_SCHEDULES = {"linear": "linear_beta", "scaled_linear": "scaled_linear_beta", "squaredcos_cap_v2": "cosine"}
_PREDICTIONS = {"epsilon": "noise", "v_prediction": "v", "sample": "clean"}


def process(settings: Settings) -> dict[str, Any]:
    """The declaration (`jaxaudit_kernels.processes`) of a scheduler's process, without what is default there.

    Raises:
      InputError: for betas or predictions that are not known, and values of another type.
    """
    values, levels = settings.values, settings.value("num_train_timesteps", 1000)
    if "FlowMatch" in str(values.get("_class_name")):
        return {"name": "linear_flow", "largest_time": float(levels)}
    schedule = settings.value("beta_schedule", "linear")
    prediction = settings.value("prediction_type", "epsilon")
    for name, value, known in (
        ("beta_schedule", schedule, _SCHEDULES),
        ("prediction_type", prediction, _PREDICTIONS),
    ):
        if value not in known:
            raise InputError(f"{settings.path} has {name}={value!r}; known are {', '.join(known)}.")
    options = {
        "predicts": _PREDICTIONS[prediction],
        "ends_in_noise": settings.value("rescale_betas_zero_snr", False),
    }
    if values.get("trained_betas") is not None:
        betas = settings.value("trained_betas", list[float])
        return _declaration(settings, "listed_betas", betas=betas, **options)
    if values.get("beta_start") is None:
        raise InputError(f"{settings.path}, of a {values.get('_class_name')}, does not say its beta_start.")
    options["num_levels"] = levels
    if schedule != "squaredcos_cap_v2":
        options |= {"first": settings.value("beta_start", float), "last": settings.value("beta_end", 0.02)}
    return _declaration(settings, _SCHEDULES[schedule], **options)


def _declaration(settings: Settings, name: str, **options: Any) -> dict[str, Any]:
    """{"name": ..., and the options that are not default}, which is a process."""
    known = {**inspect.signature(from_betas).parameters, **inspect.signature(DECLARATIONS[name]).parameters}
    found = {"name": name} | {key: value for key, value in options.items() if value != known[key].default}
    try:
        declared(found)
    except (ValueError, TypeError) as error:
        raise InputError(f"{settings.path} is no process: {error}") from error
    return found
