"""LoRA files: the layouts in use against loops over the formula, and what does not fit."""

import itertools
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints_convert.lora import merge_lora
from checkpoints_convert.lora_keys import place
from jaxaudit.errors import InputError

RANDOM = np.random.default_rng(0)
ATTENTION = "down_blocks.0.attentions.1.transformer_blocks.0.attn1"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


STATES = {
    "unet": {
        f"{ATTENTION}.to_q.weight": normal(6, 4),
        f"{ATTENTION}.to_out.0.weight": normal(6, 4),
        f"{ATTENTION}.to_out.0.bias": normal(6),
        "down_blocks.0.resnets.0.conv1.weight": normal(6, 4, 3, 3),
        "down_blocks.0.attentions.1.proj_in.weight": normal(6, 4, 1, 1),
    },
    "text_encoder": {f"{TEXT}.weight": normal(6, 4)},
}
DOWN, UP = normal(2, 4), normal(6, 2)
LINEAR = {"down": DOWN, "up": UP}
ALPHA = np.float32(0.5)


def saved(path, tensors, metadata=None):
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, path, metadata)
    return path


def changed(weight, *, factor=1.0):
    """Element by element."""
    found = weight.astype(np.float64).copy()
    for o, i, r in itertools.product(range(6), range(4), range(2)):
        found[o, i] += factor * float(UP[o, r]) * float(DOWN[r, i])
    return found


LAYOUTS = {
    "kohya": (f"lora_unet_{ATTENTION.replace('.', '_')}_to_q", "lora_down.weight", "lora_up.weight"),
    "diffusers": (f"unet.{ATTENTION}.to_q", "lora_A.weight", "lora_B.weight"),
    "an adapter": (f"unet.{ATTENTION}.to_q", "lora_A.default.weight", "lora_B.default.weight"),
    "lora.down": (f"unet.{ATTENTION}.to_q", "lora.down.weight", "lora.up.weight"),
    "a processor": (f"unet.{ATTENTION}.processor", "to_q_lora.down.weight", "to_q_lora.up.weight"),
    "without a component": (f"{ATTENTION}.processor", "to_q_lora.down.weight", "to_q_lora.up.weight"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_changes_the_layer_it_names(tmp_path, layout):
    prefix, down, up = LAYOUTS[layout]
    path = saved(tmp_path / "lora.safetensors", {f"{prefix}.{down}": DOWN, f"{prefix}.{up}": UP})
    merged = merge_lora(STATES, path, denoiser="unet", scale=0.7)
    key = f"{ATTENTION}.to_q.weight"
    np.testing.assert_allclose(
        merged["unet"][key], changed(STATES["unet"][key], factor=0.7), rtol=1e-5, atol=1e-6
    )
    assert all(merged["unet"][other] is STATES["unet"][other] for other in STATES["unet"] if other != key)
    assert merged["text_encoder"] == STATES["text_encoder"]


def test_alpha_of_the_layer_or_of_the_file(tmp_path):
    key = f"{ATTENTION}.to_out.0.weight"
    prefix = f"lora_unet_{ATTENTION.replace('.', '_')}_to_out_0"
    kohya = {f"{prefix}.lora_down.weight": DOWN, f"{prefix}.lora_up.weight": UP, f"{prefix}.alpha": ALPHA}
    merged = merge_lora(STATES, saved(tmp_path / "a.safetensors", kohya), denoiser="unet")
    expected = changed(STATES["unet"][key], factor=0.25)
    np.testing.assert_allclose(merged["unet"][key], expected, rtol=1e-5, atol=1e-6)
    diffusers = {f"unet.{ATTENTION}.to_out.0.lora_{half}.weight": x for half, x in (("A", DOWN), ("B", UP))}
    told = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 0.5, "unet.r": 2})}
    merged = merge_lora(STATES, saved(tmp_path / "b.safetensors", diffusers, told), denoiser="unet")
    np.testing.assert_allclose(merged["unet"][key], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_convolutions(tmp_path, size):
    """B A as two convolutions one after the other: a product at every place of the kernel."""
    layer = {1: "down_blocks.0.attentions.1.proj_in", 3: "down_blocks.0.resnets.0.conv1"}[size]
    down, up = normal(2, 4, size, size), normal(6, 2, 1, 1)
    tensors = {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}
    weight = STATES["unet"][f"{layer}.weight"]
    merged = merge_lora(STATES, saved(tmp_path / "c.safetensors", tensors), denoiser="unet", scale=-1)
    expected = weight.copy()
    for row, column in itertools.product(range(size), repeat=2):
        expected[:, :, row, column] -= up[:, :, 0, 0] @ down[:, :, row, column]
    np.testing.assert_allclose(merged["unet"][f"{layer}.weight"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "prefix", [f"lora_te_{TEXT.replace('.', '_')}.lora_", f"text_encoder.{TEXT}.lora_linear_layer."]
)
def test_text_encoders(tmp_path, prefix):
    path = saved(tmp_path / "t.safetensors", {f"{prefix}down.weight": DOWN, f"{prefix}up.weight": UP})
    merged = merge_lora(STATES, path, denoiser="unet")
    key = f"{TEXT}.weight"
    np.testing.assert_allclose(
        merged["text_encoder"][key], changed(STATES["text_encoder"][key]), rtol=1e-5, atol=1e-6
    )


def test_all_that_does_not_fit_is_said_at_once(tmp_path):
    unet = f"unet.{ATTENTION}"
    tensors = {
        f"{unet}.to_q.lora_A.weight": DOWN,
        f"{unet}.to_out.0.lora_A.weight": normal(2, 5),
        f"{unet}.to_out.0.lora_B.weight": UP,
        "lora_unet_mid_block_conv.lora_down.weight": DOWN,
        f"{unet}.to_q.hada_w1_a": DOWN,
        f"{unet}.to_q.lora_magnitude_vector.weight": normal(6),
    }
    with pytest.raises(InputError, match="l.safetensors does not fit the model") as error:
        merge_lora(STATES, saved(tmp_path / "l.safetensors", tensors), denoiser="unet")
    message = str(error.value)
    assert "3 tensors of no layer of the model" in message
    assert f"unet.{ATTENTION}.to_q.weight only down" in message
    assert "[[2, 5], [6, 2]], not of [6, 4]" in message


@pytest.mark.parametrize("other", ["diffusers", "an adapter"])
def test_a_layer_that_is_named_twice(tmp_path, other):
    tensors = {}
    for layout in ("kohya" if other == "diffusers" else "diffusers", other):
        prefix, down, up = LAYOUTS[layout]
        tensors |= {f"{prefix}.{down}": DOWN, f"{prefix}.{up}": UP}
    with pytest.raises(InputError, match="twice.safetensors does not fit") as error:
        merge_lora(STATES, saved(tmp_path / "twice.safetensors", tensors), denoiser="unet")
    assert "2 tensors of a layer that is named twice" in str(error.value)


def test_files_that_are_no_lora_of_that_kind(tmp_path):
    tensors = {f"unet.{ATTENTION}.to_q.lora_A.weight": DOWN, f"unet.{ATTENTION}.to_q.lora_B.weight": UP}
    for said, message in (
        (json.dumps({"unet.use_dora": True}), "use_dora of its unet, which is not known"),
        (json.dumps({"unet.alpha_pattern": {"conv": 2}}), "alpha_pattern of its unet"),
        (json.dumps({"unet.lora_alpha": "many"}), "says of itself is damaged"),
        ("{", "says of itself is damaged"),
    ):
        path = saved(tmp_path / "m.safetensors", tensors, {"lora_adapter_metadata": said})
        with pytest.raises(InputError, match=message):
            merge_lora(STATES, path, denoiser="unet")
    with pytest.raises(InputError, match="holds no LoRA"):
        merge_lora(STATES, saved(tmp_path / "e.safetensors", {}), denoiser="unet")
    with pytest.raises(InputError, match="cannot be scaled by nan"):
        merge_lora(STATES, path, denoiser="unet", scale=float("nan"))


def test_keys_that_name_no_change():
    assert place("conv_in.weight") is None
    assert place("unet.conv_in.bias") is None
