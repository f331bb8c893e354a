"""The steps of built-in targets lowered for both kinds of accelerators, without their compilers."""

import pytest

from jaxaudit.audits.capacity.shapes import abstract_step
from jaxaudit.results import StepSetting
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.parallel import lower_rows

SCORES = {"digits_var": ("diff/loss",), "digits_rar": ("diff/min_k_20",), "digits_mar": ("cond/loss",)}
SCORES |= {"digits_dit": ("denoising_loss",), "digits_uvit": ("denoising_loss",)}
PLATFORMS = {"v5e": "tpu", "h100": "cuda"}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.usefixtures("unchecked")
def test_a_step_lowers_for_an_accelerator_with_the_whole_batch_at_once(name):
    for device, platform in PLATFORMS.items():
        setting = StepSetting(name, device, 1, 4, "bfloat16", SCORES[name], "gray-box")
        target, step, (inputs, batch) = abstract_step(setting)
        assert target.platform in ("tpu", "gpu")
        text = lower_rows(step, inputs, batch, make_mesh(1), platform=platform).as_text()
        size = target.preprocessing.image_size
        assert f"tensor<4x{size}x{size}x3xf32>" in text
        assert "bf16" in text
