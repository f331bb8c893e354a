"""Conversion of RAR checkpoints: full-size layouts, and a small checkpoint from file to tokens."""

import functools
import json
import math
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from absl.testing import flagsaver

from checkpoints_convert import __main__ as program
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from checkpoints_convert.rar import CONVERSION, infer_config
from jaxaudit.checkpoint import load_target
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import rar
from tests.golden import weights
from tests.golden.flax_params import flax_params

MANIFESTS = Path(weights.__file__).parent / "manifests"


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


@functools.cache
def golden_states():
    return {
        part: weights.state_dict(*weights.load(case))
        for part, case in (("generator", "rar"), ("tokenizer", "rar_tokenizer"))
    }


@pytest.mark.parametrize("name", sorted(rar.VARIANTS))
def test_released_checkpoints_fit_without_remainder(name):
    parts = {"generator": manifest(name), "tokenizer": manifest("maskgit-vqgan-imagenet-f16-256")}
    states = {part: state for part, (state, _) in parts.items()}
    config = infer_config(states)
    assert config == rar.VARIANTS[name].config
    assert CONVERSION.preprocessing(config) == rar.VARIANTS[name].preprocessing
    abstract = rar.abstract_params(config)
    for part, (state, num_params) in parts.items():
        converted = convert(state, CONVERSION.parts[part].table, abstract[part])
        assert converted == abstract[part]
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(converted)) == num_params


def test_official_files_become_a_target(tmp_path, monkeypatch):
    """The program, against the tree that the rule of names gives without any table."""
    files = {part: tmp_path / f"{part}.bin" for part in golden_states()}
    for part, state in golden_states().items():
        torch.save({key: torch.from_numpy(value) for key, value in state.items()}, files[part])
    paths = [f"--{part}={path}" for part, path in files.items()]
    monkeypatch.setattr(
        sys, "argv", ["checkpoints_convert", "--family=rar", *paths, f"--out={tmp_path / 'out'}"]
    )
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as exit_:
        program.run()
    assert not exit_.value.code

    target = load_target(tmp_path / "out")
    expected = {part: flax_params(state) for part, state in golden_states().items()}
    assert jax.tree.structure(target.params) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, target.params, expected)
    assert (target.family, target.num_classes, target.vocab_size) == ("rar", 10, 64)
    assert target.tokens_per_step == (1,) * 16
    assert target.preprocessing == Preprocessing(64, "bicubic", 64, 0.0, 1.0)
    assert infer_config(golden_states())["generator"]["num_heads"] == 4

    with pytest.raises(InputError, match=r"is a MaskGIT-VQGAN tokenizer, not a RAR generator\. .*swapped"):
        convert_files("rar", {"generator": files["tokenizer"], "tokenizer": files["generator"]})


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("generator", {"pos_embed": (1, 1041, 64)}, "leaves 17 positions"),
        ("generator", {"blocks.0.attn.q_norm.weight": None}, "no tensor blocks.0.attn.q_norm.weight"),
        ("tokenizer", {"quantize.embedding.weight": (32, 16)}, "vocabulary 64 in the generator, 32"),
    ],
)
def test_shapes_that_contradict_each_other(part, change, message):
    states = {name: dict(state) for name, state in golden_states().items()}
    for key, shape in change.items():
        del states[part][key]
        if shape is not None:
            states[part][key] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=message):
        infer_config(states)
