"""One step, compiled for an accelerator that need not be here."""

from __future__ import annotations

import time

import jax

from jaxaudit.attacks.batch import batch_spec
from jaxaudit.audits.capacity.modelled import modelled_memory
from jaxaudit.audits.capacity.shapes import abstract_step
from jaxaudit.checkpoint.parameters import sharded
from jaxaudit.errors import reason
from jaxaudit.results import CompiledStep, StepMemory, StepSetting
from jaxaudit.runtime.ahead_of_time import Compiled, compile_ahead
from jaxaudit.runtime.devices import get_device
from jaxaudit.runtime.elsewhere import compiler_version, mesh_elsewhere
from jaxaudit.runtime.mesh import ROWS_AXIS
from jaxaudit.runtime.partition import param_shardings
from jaxaudit.targets import Target


def compile_setting(setting: StepSetting) -> CompiledStep:
    """Compiles the scoring step of a setting, as an audit on these devices would run it.

    Weights need not be here. A step that does not fit the devices is refused by some compilers (TPU) and not
    by others (CUDA), whose memory tells.

    Raises:
      InputError: if the device's compiler is not installed, or as `abstract_step`.
    """
    device = get_device(setting.device)
    mesh = mesh_elsewhere(device, setting.num_devices, split=setting.split)
    target, step, ((params, key), batch) = abstract_step(setting)
    rows = -(-setting.batch_size // mesh.shape[ROWS_AXIS])
    of_device = ((params, key), batch_spec(target, rows, null_context="null" in batch))
    modelled, _ = modelled_memory(target, step, of_device, split=setting.split)
    inputs = sharded(params, param_shardings(params, target.partition, mesh)), key
    start, compiled, refused = time.perf_counter(), None, None
    try:
        compiled = compile_ahead(step, inputs, batch, mesh)
    except jax.errors.JaxRuntimeError as error:
        refused = reason(error)
    seconds = time.perf_counter() - start
    return CompiledStep(
        setting=setting,
        num_params=target.num_params,
        compiler=compiler_version(device) or "",
        modelled=modelled,
        memory=_memory(compiled, modelled) if compiled else None,
        refused=refused,
        kernels=compiled.kernels() if compiled else {},
        logits=_logits(compiled, target, rows) if compiled else None,
        cpu_seconds=compiled.cpu_seconds if compiled else seconds,
        wall_seconds=seconds,
    )


def _memory(compiled: Compiled, modelled: StepMemory) -> StepMemory:
    """The device also holds parameters that the step does not read, a decoder's; compilers drop them."""
    arguments = max(compiled.arguments, modelled.arguments)
    return StepMemory(arguments, compiled.outputs, compiled.temporaries)


def _logits(compiled: Compiled, target: Target, rows: int) -> list[list[int]] | None:
    """As `CompiledStep.logits`; `rows` are those of a device."""
    vocab_size = getattr(target, "vocab_size", None)
    if vocab_size is None:
        return None
    return [list(shape) for shape in compiled.logits(vocab_size, rows * target.num_tokens)]
