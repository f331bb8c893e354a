"""Conversion of latent diffusion's files: full-size layouts, small files, mistakes."""

import dataclasses
import functools
import itertools
import json
import operator
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import CONVERSIONS, ldm, sd, unet
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from checkpoints_convert.reading import unwrap
from checkpoints_convert.stored import StoredArray
from jaxaudit.configs import to_dict
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.tokenizers.vq_autoencoder import VQAutoencoderConfig
from tests.golden import weights
from tests.models.test_unet import CONFIGS, golden, state_dict

MANIFESTS = Path(weights.__file__).parent / "manifests"
RELEASED = {
    "ldm_8_cin256": ("ldm", "ldm8_cin256", 13_061_632),
    "ldm_4_cin256": ("ldm", "ldm4_cin256-v2", 13_353_600),
    "sd_1_4": ("sd", "sd-v1-4_compvis", 0),
}
"""Family, manifest, and parameters that attention to one token does not need."""

FIRST_STAGE = VQAutoencoderConfig(vocab_size=64, ch=32, image_size=128)


@functools.cache
def manifest(name):
    """Tensors of a released file without values, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")

    def stored(entry):
        return StoredArray(tuple(entry["shape"]), np.dtype(entry["dtype"]), lambda: np.zeros(()))

    return {key: stored(entry) for key, entry in entries.items()}, num_params


def shapes(state):
    return {key: jax.ShapeDtypeStruct(array.shape, array.dtype) for key, array in state.items()}


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_released_files_fit_without_remainder(name):
    family, file, dropped = RELEASED[name]
    content, num_params = manifest(file)
    parts, home = CONVERSIONS[family].parts, get_family(family)
    state = shapes(content)
    whole = unet.moving_average(state)
    assert (whole is None) == (name != "ldm_8_cin256")
    states = {
        "generator": whole or unet.raw(state),
        "tokenizer": shapes(unwrap({"state_dict": content}, "state_dict/first_stage_model.")),
    }
    config = CONVERSIONS[family].infer_config(states)
    variant = home.VARIANTS[name]
    assert config == variant.config
    assert CONVERSIONS[family].preprocessing(config) == variant.preprocessing
    abstract = home.abstract_params(config)
    params = {part: convert(states[part], parts[part].rows(states[part]), abstract[part]) for part in parts}
    assert params == abstract
    assert {part: size(tree) for part, tree in params.items()} == variant.num_params
    text = sum(np.prod(spec.shape) for key, spec in state.items() if "cond_stage_model.transformer" in key)
    assert num_params == size(params) + dropped + (text - 77 if text else 0)  # 77: its position_ids


def test_moving_averages_are_named_without_dots():
    recorded, io = weights.load("ldm8_unet")
    state = state_dict("ldm8_unet", recorded, io)
    names = json.loads((Path(weights.__file__).parent / "ldm8_unet" / "ema_names.json").read_text())
    averaged = unet.moving_average(state)
    assert averaged is not None
    assert averaged.keys() == unet.raw(state).keys()
    for key, name in names.items():
        assert averaged[key] is state[name]
    key = "cond_stage_model.embedding.weight"
    assert averaged[key] is state[key]
    del state[names["model.diffusion_model.out.2.bias"]]
    with pytest.raises(InputError, match=r"model_ema.diffusion_modelout2bias \(1 such\) .* --weights=raw"):
        unet.moving_average(state)


def schedule(family):
    """The buffers of the process as the official code makes them: √β in equal steps, products one by one."""
    first, last = {"ldm": (0.0015, 0.0195), "sd": (0.00085, 0.012)}[family]
    betas = [(first**0.5 + i / 999 * (last**0.5 - first**0.5)) ** 2 for i in range(1000)]
    level = list(itertools.accumulate((1 - beta for beta in betas), operator.mul))
    return {"betas": np.array(betas, np.float32), "alphas_cumprod": np.array(level, np.float32)}


@functools.cache
def content(case):
    """A file as the official code writes it: U-Net, first stage, schedule, all under state_dict."""
    recorded, io = weights.load(case)
    random = np.random.default_rng(0)
    if case == "sd_unet":
        manifest_, first = manifest("sd-v1-4_compvis")[0], {}
        for key, array in manifest_.items():
            if key.startswith("first_stage_model."):
                shape = [n // 4 if n >= 128 else n for n in array.shape]
                first[key] = 0.1 * random.standard_normal(shape).astype(np.float32)
    else:
        stage = "vq_f8" if case == "ldm8_unet" else "vq_f4"
        first = {
            f"first_stage_model.{key}": value
            for key, value in weights.state_dict(*weights.load(stage)).items()
        }
    state = state_dict(case, recorded, io) | first | schedule("sd" if case == "sd_unet" else "ldm")
    return {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}


@pytest.fixture
def small(monkeypatch):
    """The recorded models in the place of the released ones."""
    for module, family, cases in ((ldm, "ldm", ["ldm8_unet", "ldm4_unet"]), (sd, "sd", ["sd_unet"])):
        example = next(iter(get_family(family).VARIANTS.values()))
        variants = {
            case: dataclasses.replace(example, config={**example.config, "generator": to_dict(CONFIGS[case])})
            for case in cases
        }
        monkeypatch.setattr(module, "VARIANTS", variants)


def saved(tmp_path, case, **changes):
    path = tmp_path / f"{case}.ckpt"
    state = content(case) | {key: torch.from_numpy(np.asarray(value)) for key, value in changes.items()}
    torch.save({"state_dict": state, "global_step": 178000}, path)
    return {"generator": path, "tokenizer": path}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("asked", [None, pytest.param("raw", marks=pytest.mark.slow)])
def test_a_file_holds_two_sets_of_weights(tmp_path, asked):
    """Those with which `tests.models.test_unet` meets the official outputs."""
    converted = convert_files("ldm", saved(tmp_path, "ldm8_unet"), weights=asked)
    assert converted.config["generator"] == to_dict(CONFIGS["ldm8_unet"])
    assert converted.config["tokenizer"] == to_dict(FIRST_STAGE)
    source = converted.provenance["sources"]["generator"]
    assert (source["nesting"], source["weights"]) == ("state_dict", asked or "ema")
    assert converted.provenance["sources"]["tokenizer"]["nesting"] == "state_dict/first_stage_model."
    (raw, average), *_ = golden("ldm8_unet")
    expected = raw if asked else average
    jax.tree.map(np.testing.assert_array_equal, converted.params["generator"], expected)


@pytest.mark.usefixtures("small")
def test_a_file_of_captions(tmp_path):
    converted = convert_files("sd", saved(tmp_path, "sd_unet"))
    assert converted.config["generator"] == to_dict(CONFIGS["sd_unet"])
    assert converted.config["tokenizer"]["ch_mult"] == [1, 2, 4, 4]
    assert converted.provenance["sources"]["generator"]["weights"] == "raw"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("family", "case", "options", "message"),
    [
        ("ldm", "ldm4_unet", {"weights": "ema"}, "has no ema weights of a class-conditional"),
        ("sd", "ldm4_unet", {}, "reads classes, not captions; convert it with --family=ldm"),
        ("ldm", "sd_unet", {}, r"is a Stable Diffusion U-Net, not a class-conditional .* U-Net"),
        ("ldm", "ldm4_unet", {"num_heads": 8}, "num_heads=8 is not needed: the shapes of a ldm checkpoint"),
    ],
)
def test_mistakes(tmp_path, family, case, options, message):
    with pytest.raises(InputError, match=message):
        convert_files(family, saved(tmp_path, case), **options)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("stored", "scale"), [(0.9, 0.9), (0.18215, 0.18215), (0.182153, 0.18215)])
def test_the_scale_of_latents_is_that_of_the_file(tmp_path, stored, scale):
    files = saved(tmp_path, "sd_unet", scale_factor=np.float32(stored))
    assert convert_files("sd", files).config["tokenizer"]["scale"] == scale


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("family", "case", "changes", "message"),
    [
        ("ldm", "ldm8_unet", {"scale_factor": np.float32(0.9)}, "scale_factor=0.9; latents .* with 1"),
        ("sd", "sd_unet", {"scale_factor": np.float32(np.nan)}, "scale_factor=nan; latents are multiplied"),
        ("sd", "sd_unet", {"betas": np.full(1000, 0.5, np.float32)}, r"betas \[1000\]: 0.5 to 0.5"),
        ("sd", "sd_unet", schedule("ldm"), "2 buffers with other values than those of the model"),
        ("ldm", "ldm8_unet", {"alphas_cumprod": np.ones(10, np.float32)}, r"alphas_cumprod \[10\]"),
    ],
)
def test_other_scales_and_processes_are_refused(tmp_path, family, case, changes, message):
    with pytest.raises(InputError, match=message):
        convert_files(family, saved(tmp_path, case, **changes))


def test_a_schedule_in_half_precision_is_the_same():
    rows = {pattern: transform for pattern, _, transform in sd.GENERATOR}
    for name, values in schedule("sd").items():
        assert rows[name](values.astype(np.float16)) is None


def test_weights_are_asked_for_where_there_is_a_choice(tmp_path):
    with pytest.raises(InputError, match="weights=ema is not needed: a dit checkpoint has one set"):
        convert_files("dit", {"generator": tmp_path, "tokenizer": tmp_path}, weights="ema")


def test_what_shapes_do_not_tell_is_asked():
    """Stable Diffusion 2.1 at 512 px predicts the noise, at 768 px v; their U-Nets have the same shapes."""
    state = {}
    for key, spec in shapes(manifest("sd-v1-4_compvis")[0]).items():
        axes = [1024 if n == 768 and "attn2.to_" in key else n for n in spec.shape]
        state[key] = jax.ShapeDtypeStruct(axes, spec.dtype)
    variants = get_family("sd").VARIANTS
    with pytest.raises(InputError, match="those of sd_2_1_base and sd_2_1, which differ .* --variant"):
        unet.infer_config(state, variants, variant=None, title="U-Net")
    for name in ("sd_2_1_base", "sd_2_1"):
        assert unet.infer_config(state, variants, variant=name, title="U-Net") == variants[name].config
    key = "model.diffusion_model.input_blocks.0.0.weight"
    state[key] = jax.ShapeDtypeStruct((64, 4, 3, 3), np.float32)
    with pytest.raises(InputError, match=r"those of no released model \(sd_1_4, "):
        unet.infer_config(state, variants, variant=None, title="U-Net")
    del state[key]
    with pytest.raises(InputError, match=f"has no tensor {key}"):
        unet.infer_config(state, variants, variant=None, title="U-Net")
