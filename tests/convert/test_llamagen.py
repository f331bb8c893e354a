"""Conversion of LlamaGen checkpoints: full-size layouts, and small files from disk to tokens."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import llamagen as conversion
from checkpoints_convert.llamagen import CONVERSION, infer_config
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from jaxaudit.errors import InputError
from jaxaudit.families import llamagen
from jaxaudit.models.llamagen import LlamaGenConfig
from jaxaudit.models.variant import ModelVariant
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
SMALL = LlamaGenConfig(
    num_classes=10, depth=3, width=64, num_heads=4, mlp_width=192, vocab_size=64, num_tokens=64
)


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"llamagen_{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


@functools.cache
def golden_states():
    return {
        part: weights.state_dict(*weights.load(case))
        for part, case in (("generator", "llamagen"), ("tokenizer", "llamagen_tokenizer"))
    }


@pytest.mark.parametrize("name", sorted(llamagen.VARIANTS))
def test_released_checkpoints_fit_without_remainder(name):
    variant = llamagen.VARIANTS[name]
    _, size, pixels = name.split("_")
    parts = {"generator": manifest(size.upper()), "tokenizer": manifest("vq16")}
    config = infer_config({part: state for part, (state, _) in parts.items()}, image_size=int(pixels))
    assert config == variant.config
    assert CONVERSION.preprocessing(config) == variant.preprocessing
    abstract = llamagen.abstract_params(config)
    for part, (state, num_params) in parts.items():
        assert convert(state, CONVERSION.parts[part].rows(state), abstract[part]) == abstract[part]
        assert num_params == variant.num_params[part]


def save(path, state, nesting):
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    torch.save({nesting: tensors, "steps": 300_000} if nesting else tensors, path)
    return path


@pytest.mark.parametrize("nesting", ["model", "module", ""])
def test_files_to_official_logits(tmp_path, monkeypatch, nesting):
    """Those of distributed trainings are nested, those of sharded ones (XXL, 3B) flat."""
    monkeypatch.setattr(conversion, "VARIANTS", {"small": ModelVariant(SMALL, 0, "", "")})
    states = golden_states()
    files = {
        "generator": save(tmp_path / "c2i.pt", states["generator"], nesting),
        "tokenizer": save(tmp_path / "vq.pt", states["tokenizer"], "model"),
    }
    converted = convert_files("llamagen", files, image_size=32)
    assert converted.provenance["sources"]["generator"]["nesting"] == nesting
    target = llamagen.build_target(
        "small", converted.config, jax.tree.map(np.asarray, converted.params), converted.preprocessing, {}
    )
    recorded, io = weights.load("llamagen")
    inputs = weights.inputs(recorded)
    logits = target.logits(inputs["tokens"], inputs["labels"])
    np.testing.assert_allclose(logits, io["logits_cond"], rtol=1e-4, atol=1e-4)
    if not nesting:
        with pytest.raises(InputError, match=r"is a LlamaGen tokenizer, not a LlamaGen gen.* swapped"):
            convert_files("llamagen", dict(zip(files, reversed(files.values()), strict=True)), image_size=32)
        with pytest.raises(InputError, match="do not hold llamagen_b_384: generator num_classes 10"):
            convert_files("llamagen", files, variant="llamagen_b_384", num_heads=4)


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        ({}, {}, "do not tell the size of its pictures; say it with --variant or --image_size"),
        ({}, {"image_size": 34, "num_heads": 4}, "image_size=34 is no multiple of 4"),
        ({}, {"image_size": 0, "num_heads": 4}, "image_size=0 is no multiple of 4"),
        ({}, {"image_size": 32}, "do not tell its number of attention heads"),
        ({"output.weight": (32, 64)}, {"image_size": 32}, "vocabulary 32 in the generator, 64 in the"),
        ({"output.weight": None}, {"image_size": 32}, "no tensor output.weight"),
    ],
)
def test_what_tells_too_little_or_contradicts(change, given, message):
    states = {name: dict(state) for name, state in golden_states().items()}
    for key, shape in change.items():
        del states["generator"][key]
        if shape is not None:
            states["generator"][key] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=message):
        infer_config(states, **given)


def test_a_size_is_not_asked_where_the_shapes_tell_it():
    with pytest.raises(InputError, match="image_size=256 is not needed: the shapes of a rar checkpoint"):
        convert_files("rar", {}, image_size=256)
