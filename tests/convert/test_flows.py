"""Conversion of SiT, LFM and DiT-MoE checkpoints: full-size layouts, and small files."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
RELEASED = {
    "sit_xl_2_256": ("sit", "SiT-XL-2-256", 675_129_632),
    "lfm_b_2_256": ("lfm", "lfm_imnet_f8_ditb2", 130_500_112),
    "dit_moe_s_2_8e2a": ("dit_moe", "dit_moe_s_8E2A", 199_307_552),
    "dit_moe_s_2_16e2a": ("dit_moe", "dit_moe_s_16E2A", 369_213_728),
    "dit_moe_b_2_8e2a": ("dit_moe", "dit_moe_b_8E2A", 795_861_536),
    "dit_moe_xl_2_8e2a": ("dit_moe", "dit_moe_xl_8E2A", 4_168_172_192),
}
FILES = {
    "sit": ("sit", ""),
    "lfm": ("lfm", ""),
    "dit_moe": ("dit_moe", "ema"),
    "dit_moe_flow": ("dit_moe", ""),
}
"""The family of a recorded case, and where its file keeps the tensors."""


@functools.cache
def manifest(name):
    """Shapes of a released state dict, and its number of parameters."""
    entries = json.loads((MANIFESTS / f"{name}.json").read_text())
    num_params = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    return state, num_params


@pytest.mark.parametrize("name", RELEASED)
def test_released_files_fit_without_remainder(name):
    family, file, expected = RELEASED[name]
    generator, num_params = manifest(file)
    states = {"generator": generator, "tokenizer": manifest("sd-vae-ft-ema_legacy_names")[0]}
    conversion, variant = CONVERSIONS[family], get_family(family).VARIANTS[name]
    config = conversion.infer_config(states)
    assert config == variant.config
    assert conversion.preprocessing(config) == variant.preprocessing
    abstract = get_family(family).abstract_params(config)
    params = {
        part: convert(states[part], conversion.parts[part].rows(states[part]), abstract[part])
        for part in states
    }
    assert params == abstract
    sizes = {part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()}
    assert sizes == variant.num_params == {"generator": num_params, "tokenizer": 83_653_863}
    assert num_params == expected


@functools.cache
def autoencoder():
    """A state dict of an eighth of the released width."""
    random = np.random.default_rng(0)
    return {
        key: random.standard_normal([n // 8 if n >= 128 else n for n in spec.shape]).astype(np.float32)
        for key, spec in manifest("sd-vae-ft-ema")[0].items()
    }


def save(path, content, nesting=""):
    state = {key: torch.from_numpy(value) for key, value in content.items()}
    torch.save({nesting: state} if nesting else state, path)
    return path


def files(folder, case):
    state = weights.state_dict(*weights.load(case))
    generator = save(folder / "generator.pt", state, FILES[case][1])
    return {"generator": generator, "tokenizer": save(folder / "vae.bin", autoencoder())}, state


@pytest.mark.parametrize("case", FILES)
def test_small_files(tmp_path, case):
    """Heads must be said where neither shapes nor a released model tell them."""
    (family, nesting), flow = FILES[case], case == "dit_moe_flow"
    paths, state = files(tmp_path, case)
    converted = convert_files(family, paths, num_heads=None if flow else 4)
    assert converted.provenance["sources"]["generator"]["nesting"] == nesting
    assert converted.config["generator"]["num_heads"] == 4
    assert converted.config.get("process") == ({"name": "linear_flow"} if flow else None)
    leaves = jax.tree.leaves(converted.params["generator"])
    assert sum(leaf.size for leaf in leaves) == sum(value.size for value in state.values())
    message = "num_heads=2: .* tell that it has 4" if flow else "--num_heads"
    with pytest.raises(InputError, match=message):
        convert_files(family, paths, num_heads=2 if flow else None)


@pytest.mark.parametrize(
    ("case", "family", "message"),
    [
        ("dit_moe", "sit", "is a DiT-MoE generator, not a SiT generator"),
        ("sit", "dit_moe", "is a DiT generator, not a DiT-MoE generator"),
        ("lfm", "sit", "is a LFM generator, not a SiT generator"),
        ("sit", "lfm", "is a DiT generator, not a LFM generator"),
    ],
)
def test_files_of_other_families(tmp_path, case, family, message):
    """A file of SiT cannot be told from one of DiT."""
    paths, _ = files(tmp_path, case)
    with pytest.raises(InputError, match=message):
        convert_files(family, paths, num_heads=4)


def test_swapped_files(tmp_path):
    paths, _ = files(tmp_path, "sit")
    swapped = {"generator": paths["tokenizer"], "tokenizer": paths["generator"]}
    with pytest.raises(InputError, match=r"not a SiT generator\. Are the two files swapped"):
        convert_files("sit", swapped)
