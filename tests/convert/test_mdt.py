"""Conversion of MDT checkpoints: full-size layouts, and small files to the official outputs."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert.mapping import convert
from checkpoints_convert.mdt import CONVERSION, infer_config
from checkpoints_convert.pipeline import convert_files
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, mdt
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
INDEX = "blocks.2.attn.rel_pos_bias.relative_position_index"


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


@functools.cache
def small_states(case):
    """The recorded generator, and an autoencoder of a quarter of the released width."""
    random = np.random.default_rng(0)
    tokenizer = {
        key: random.standard_normal([n // 4 if n >= 128 else n for n in spec.shape]).astype(np.float32)
        for key, spec in manifest("sd-vae-ft-ema")[0].items()
    }
    return {"generator": weights.state_dict(*weights.load(case)), "tokenizer": tokenizer}


def save(folder, states):
    files = {part: folder / f"{part}.pt" for part in states}
    for part, state in states.items():
        torch.save({key: torch.from_numpy(value) for key, value in state.items()}, files[part])
    return files


@pytest.mark.parametrize("version", [1, 2])
def test_released_files_fit_without_remainder(version):
    generator, num_params = manifest(f"mdt_xl2_v{version}")
    states = {"generator": generator, "tokenizer": manifest("sd-vae-ft-ema_legacy_names")[0]}
    config = infer_config(states)
    variant = get_family("mdt").VARIANTS[f"mdt_v{version}_xl_2"]
    assert config == variant.config
    assert CONVERSION.preprocessing(config) == variant.preprocessing
    abstract = mdt.abstract_params(config)
    params = {
        part: convert(states[part], CONVERSION.parts[part].rows(states[part]), abstract[part])
        for part in states
    }
    assert params == abstract
    sizes = {part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()}
    assert sizes == variant.num_params == {"generator": num_params, "tokenizer": 83_653_863}
    assert num_params == {1: 699_778_144, 2: 742_263_904}[version]
    side = params["generator"]["sideblocks_0"]
    assert sum(leaf.size for leaf in jax.tree.leaves(side)) == 23_920_576


@pytest.mark.parametrize("case", ["mdt_v1", "mdt_v2"])
def test_files_to_official_outputs(tmp_path, case):
    states = small_states(case)
    converted = convert_files("mdt", save(tmp_path, states))
    assert converted.config["generator"]["num_heads"] == 4
    assert converted.config["tokenizer"]["scale"] == 0.18215
    for part, state in states.items():
        converted_size = sum(leaf.size for leaf in jax.tree.leaves(converted.params[part]))
        assert converted_size == sum(value.size for value in state.values() if value.dtype != np.int64)
    if case == "mdt_v1":
        return  # one compiled network is enough
    params = jax.tree.map(np.asarray, converted.params)
    target = mdt.build_target("small", converted.config, params, converted.preprocessing, {})
    recorded, io = weights.load(case)
    inputs = weights.inputs(recorded)
    eps = target.predict_noise(np.moveaxis(inputs["x"], 1, -1), inputs["t"], inputs["y"])
    np.testing.assert_allclose(np.moveaxis(eps, -1, 1), io["out"][:, :4], rtol=1e-4, atol=1e-4)


def test_positions_counted_otherwise_are_refused(tmp_path):
    states = {part: dict(state) for part, state in small_states("mdt_v1").items()}
    states["generator"][INDEX] = states["generator"][INDEX].T.copy()
    with pytest.raises(InputError, match="does not fit the model") as caught:
        convert_files("mdt", save(tmp_path, states))
    assert "1 buffers with other values than those of the model" in str(caught.value)
    assert INDEX in str(caught.value)


@pytest.mark.parametrize(("asked", "case", "title"), [("mdt", "dit", "DiT"), ("dit", "mdt_v2", "MDT")])
def test_files_of_the_nearest_relative_are_told_apart(tmp_path, asked, case, title):
    states = small_states("mdt_v1") | {"generator": weights.state_dict(*weights.load(case))}
    with pytest.raises(InputError, match=rf"is an? {title} generator, not an? "):
        convert_files(asked, save(tmp_path, states))


def test_shapes_that_contradict():
    states = {name: dict(state) for name, state in small_states("mdt_v1").items()}
    states["generator"]["pos_embed"] = np.zeros((1, 15, 64), np.float32)
    with pytest.raises(InputError, match="15 tokens, which is no square"):
        infer_config(states)
