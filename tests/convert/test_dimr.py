"""Conversion of DiMR checkpoints: full-size layouts, and small files to the official outputs."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import dimr as conversion
from checkpoints_convert.dimr import CONVERSION, infer_config
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from jaxaudit.errors import InputError
from jaxaudit.families import dimr, get_family
from jaxaudit.models.dimr import DiMRConfig
from jaxaudit.models.variant import ModelVariant
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
SMALL = DiMRConfig(
    num_classes=10, depth=5, width=48, num_heads=4, fine_depth=3, fine_width=24, latent_size=12
)
RELEASED = {"dimr_xl_2r": ("DiMR-XL-2R", 505_046_408), "dimr_g_2r": ("DiMR-G-2R", 1_056_352_904)}


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


def small_states():
    cases = {"generator": "dimr", "tokenizer": "kl_vae_uvit"}
    return {part: weights.state_dict(*weights.load(name)) for part, name in cases.items()}


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_released_files_fit_without_remainder(name):
    file, expected = RELEASED[name]
    generator, num_params = manifest(file)
    states = {"generator": generator, "tokenizer": manifest("autoencoder_kl")[0]}
    config = infer_config(states)
    variant = get_family("dimr").VARIANTS[name]
    assert config == variant.config
    assert CONVERSION.preprocessing(config) == variant.preprocessing
    abstract = dimr.abstract_params(config)
    params = {
        part: convert(states[part], CONVERSION.parts[part].rows(states[part]), abstract[part])
        for part in states
    }
    assert params == abstract
    sizes = {part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()}
    assert sizes == variant.num_params == {"generator": expected, "tokenizer": 83_653_863}
    assert num_params == expected


def test_files_to_official_outputs(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "VARIANTS", {"small": ModelVariant(SMALL, 0, "", "")})
    states = small_states()
    files = {part: tmp_path / f"{part}.pth" for part in states}
    for part, state in states.items():
        torch.save({key: torch.from_numpy(value) for key, value in state.items()}, files[part])
    converted = convert_files("dimr", files)
    assert converted.config["generator"]["num_heads"] == 4
    for part, state in states.items():
        converted_size = sum(leaf.size for leaf in jax.tree.leaves(converted.params[part]))
        assert converted_size == sum(value.size for value in state.values())
    params = jax.tree.map(np.asarray, converted.params)
    target = dimr.build_target("small", converted.config, params, converted.preprocessing, {})
    recorded, io = weights.load("dimr")
    inputs = weights.inputs(recorded)
    levels = inputs["n"].astype(np.int32) - 1
    eps = target.predict_noise(np.moveaxis(inputs["x"], 1, -1), levels, inputs["y"])
    np.testing.assert_allclose(np.moveaxis(eps, -1, 1), io["out"], rtol=1e-4, atol=1e-4)


def test_heads():
    assert infer_config(small_states(), num_heads=4)["generator"]["num_heads"] == 4
    with pytest.raises(InputError, match=r"of a DiMR generator do not tell .* --num_heads"):
        infer_config(small_states())


def test_shapes_that_contradict():
    states = small_states()
    states["generator"]["stages.1.input_layer.3.position_embeddings.weight"] = np.zeros((143, 24), np.float32)
    with pytest.raises(InputError, match="143 latent pixels, which is no square"):
        infer_config(states, num_heads=4)
