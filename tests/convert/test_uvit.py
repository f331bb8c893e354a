"""Conversion of U-ViT checkpoints: full-size layouts, and small files to the official outputs."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import uvit as conversion
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from checkpoints_convert.uvit import CONVERSION, infer_config
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, uvit
from jaxaudit.models.uvit import UViTConfig
from jaxaudit.models.variant import ModelVariant
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
SMALL = {"depth": 4, "width": 64, "num_heads": 4, "latent_size": 8}
CONFIGS = {
    "uvit": UViTConfig(num_classes=10, **SMALL),
    "uvit_uncond": UViTConfig(num_classes=0, final_conv=True, **SMALL),
}
RELEASED = {
    "uvit_h_2_256": ("imagenet256_uvit_huge", 500_832_016),
    "uvit_h_4_512": ("imagenet512_uvit_huge", 500_942_656),
    "uvit_s_2_t2i": ("mscoco_uvit_small", 44_692_644),
    "uvit_s_2_deep_t2i": ("mscoco_uvit_small_deep", 58_345_636),
    "uvit_s_2_uncond": ("uvit_uncond_small", 44_259_492),
}


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


def small_states(case):
    cases = {"generator": case, "tokenizer": "kl_vae_uvit"}
    return {part: weights.state_dict(*weights.load(name)) for part, name in cases.items()}


def save(path, state):
    torch.save({key: torch.from_numpy(value) for key, value in state.items()}, path)
    return path


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_released_files_fit_without_remainder(name):
    file, expected = RELEASED[name]
    generator, num_params = manifest(file)
    states = {"generator": generator, "tokenizer": manifest("autoencoder_kl")[0]}
    config = infer_config(states)
    variant = get_family("uvit").VARIANTS[name]
    assert config == variant.config
    assert CONVERSION.preprocessing(config) == variant.preprocessing
    abstract = uvit.abstract_params(config)
    params = {
        part: convert(states[part], CONVERSION.parts[part].rows(states[part]), abstract[part])
        for part in states
    }
    assert params == abstract
    sizes = {part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()}
    assert sizes == variant.num_params == {"generator": expected, "tokenizer": 83_653_863}
    assert num_params == expected


@pytest.mark.parametrize("case", sorted(CONFIGS))
def test_files(tmp_path, monkeypatch, case):
    monkeypatch.setattr(conversion, "VARIANTS", {"small": ModelVariant(CONFIGS[case], 0, "", "")})
    states = small_states(case)
    files = {part: save(tmp_path / f"{part}.pth", state) for part, state in states.items()}
    converted = convert_files("uvit", files)
    assert converted.config["tokenizer"]["scale"] == 0.18215
    assert converted.config["tokenizer"]["image_size"] == converted.preprocessing.image_size == 32
    for part, state in states.items():
        converted_size = sum(leaf.size for leaf in jax.tree.leaves(converted.params[part]))
        assert converted_size == sum(value.size for value in state.values())
    if case == "uvit_uncond":
        return  # one compiled network is enough
    params = jax.tree.map(np.asarray, converted.params)
    target = uvit.build_target("small", converted.config, params, converted.preprocessing, {})
    recorded, io = weights.load(case)
    inputs = weights.inputs(recorded)
    x = np.moveaxis(inputs["x"], 1, -1)
    eps = target.predict_noise(x, np.array([0, 99, 0, 999]), inputs["y"])
    np.testing.assert_allclose(np.moveaxis(eps, -1, 1)[1::2], io["out"][1::2], rtol=1e-4, atol=1e-4)


def test_heads():
    states = small_states("uvit")
    assert infer_config(states, num_heads=4)["generator"]["num_heads"] == 4
    with pytest.raises(InputError, match=r"of a U-ViT generator do not tell .* --num_heads"):
        infer_config(states)


def test_captions_of_any_length():
    """The recorded model reads 7 tokens; CLIP's 77 do not leave a square picture."""
    states = small_states("uvit_t2i")
    config = infer_config(states, num_heads=4, context_length=7)["generator"]
    assert (config["context_length"], config["context_dim"], config["latent_size"]) == (7, 48, 8)
    with pytest.raises(InputError, match="24 tokens, which are not 78 .*; --context_length says how many"):
        infer_config(states, num_heads=4)
    with pytest.raises(InputError, match="context_length=7 is of no use: the generator reads no captions"):
        infer_config(small_states("uvit"), num_heads=4, context_length=7)


@pytest.mark.parametrize(
    ("case", "key", "shape", "message"),
    [
        ("uvit", "pos_embed", (1, 19, 64), "19 tokens, which are not 2 and those of a square"),
        ("uvit_t2i", "pos_embed", (1, 24, 64), "24 tokens, which are not 78 and those of a square"),
        ("uvit", "patch_embed.proj.weight", None, "no tensor patch_embed.proj.weight"),
    ],
)
def test_shapes_that_tell_too_little_or_contradict(case, key, shape, message):
    states = small_states(case)
    del states["generator"][key]
    if shape is not None:
        states["generator"][key] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=message):
        infer_config(states, num_heads=4)
