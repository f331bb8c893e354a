"""Conversion of DiT checkpoints: full-size layouts, and small files to the official outputs."""

import argparse
import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import dit as conversion
from checkpoints_convert.dit import CONVERSION, infer_config
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from jaxaudit.errors import InputError
from jaxaudit.families import dit, get_family
from jaxaudit.models.dit import DiTConfig
from jaxaudit.models.variant import ModelVariant
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
SMALL = DiTConfig(num_classes=10, depth=3, width=64, num_heads=4, latent_size=8)


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


@functools.cache
def small_states():
    """The recorded generator, and an autoencoder of a quarter of the released width."""
    random = np.random.default_rng(0)
    tokenizer = {
        key: random.standard_normal([n // 4 if n >= 128 else n for n in spec.shape]).astype(np.float32)
        for key, spec in manifest("sd-vae-ft-ema")[0].items()
    }
    return {"generator": weights.state_dict(*weights.load("dit")), "tokenizer": tokenizer}


def save(path, content):
    def tensors(value):
        if isinstance(value, dict):
            return {key: tensors(item) for key, item in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    torch.save(tensors(content), path)
    return path


@pytest.mark.parametrize("size", [256, 512])
def test_released_files_fit_without_remainder(size):
    generator, num_params = manifest(f"DiT-XL-2-{size}x{size}")
    states = {"generator": generator, "tokenizer": manifest("sd-vae-ft-ema_legacy_names")[0]}
    config = infer_config(states)
    variant = get_family("dit").VARIANTS[f"dit_xl_2_{size}"]
    assert config == variant.config
    assert CONVERSION.preprocessing(config) == variant.preprocessing
    abstract = dit.abstract_params(config)
    params = {
        part: convert(states[part], CONVERSION.parts[part].rows(states[part]), abstract[part])
        for part in states
    }
    assert params == abstract
    sizes = {part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()}
    assert sizes == variant.num_params == {"generator": num_params, "tokenizer": 83_653_863}
    assert num_params == {256: 675_129_632, 512: 676_014_368}[size]


@pytest.mark.parametrize("nesting", ["", "ema"])
def test_files_to_official_outputs(tmp_path, monkeypatch, nesting):
    """Released files are flat; those of a training run keep the moving average beside the raw weights."""
    monkeypatch.setattr(conversion, "VARIANTS", {"small": ModelVariant(SMALL, 0, "", "")})
    states = small_states()
    content = states["generator"]
    if nesting:
        raw = {key: value + 1 for key, value in content.items()}
        content = {"model": raw, "ema": content, "opt": {}, "args": argparse.Namespace(epochs=1400)}
    files = {
        "generator": save(tmp_path / "DiT.pt", content),
        "tokenizer": save(tmp_path / "vae.bin", states["tokenizer"]),
    }
    converted = convert_files("dit", files)
    assert converted.provenance["sources"]["generator"]["nesting"] == nesting
    shape = converted.config["tokenizer"]
    assert (
        shape.items()
        >= {
            "latent_channels": 4,
            "ch": 32,
            "num_res_blocks": 2,
            "scale": 0.18215,
            "image_size": 64,
        }.items()
    )
    assert (shape["ch_mult"], shape["encoder_attention_levels"]) == ([1, 2, 4, 4], [])
    params = jax.tree.map(np.asarray, converted.params)
    target = dit.build_target("small", converted.config, params, converted.preprocessing, {})
    recorded, io = weights.load("dit")
    inputs = weights.inputs(recorded)
    eps = target.predict_noise(np.moveaxis(inputs["x"], 1, -1), inputs["t"], inputs["y"])
    np.testing.assert_allclose(np.moveaxis(eps, -1, 1), io["out"][:, :4], rtol=1e-4, atol=1e-4)
    for part, state in states.items():
        converted_size = sum(leaf.size for leaf in jax.tree.leaves(converted.params[part]))
        assert converted_size == sum(value.size for value in state.values())


def test_autoencoders_of_any_number_of_levels(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "VARIANTS", {"small": ModelVariant(SMALL, 0, "", "")})
    states = small_states() | {"tokenizer": weights.state_dict(*weights.load("kl_vae_sd"))}
    files = {part: save(tmp_path / f"{part}.pt", state) for part, state in states.items()}
    converted = convert_files("dit", files)
    assert converted.config["tokenizer"]["ch_mult"] == [1, 1.5, 1]
    assert converted.preprocessing.image_size == 4 * SMALL.latent_size


def test_heads():
    assert infer_config(small_states(), num_heads=4)["generator"]["num_heads"] == 4
    with pytest.raises(InputError, match=r"of a DiT generator do not tell .* --num_heads"):
        infer_config(small_states())


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        ("pos_embed", (1, 15, 64), "15 tokens, which is no square"),
        ("x_embedder.proj.weight", None, "no tensor x_embedder.proj.weight"),
        ("y_embedder.embedding_table.weight", (11,), r"has shape \(11,\); expected 2 axes"),
    ],
)
def test_shapes_that_tell_too_little_or_contradict(key, shape, message):
    states = {name: dict(state) for name, state in small_states().items()}
    del states["generator"][key]
    if shape is not None:
        states["generator"][key] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=message):
        infer_config(states, num_heads=4)
