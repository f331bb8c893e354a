"""Folders of diffusers pipelines, with the weights that are recomputed or recorded in tests/golden."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.golden import weights

GOLDEN = Path(weights.__file__).parent


@functools.cache
def dit_state():
    """{diffusers name: array} of the recorded transformer."""
    official = weights.state_dict(*weights.load("dit"))
    names = json.loads((GOLDEN / "diffusers_dit" / "dit_names.json").read_text())
    thirds = {key: np.split(official[name], 3) for key, (name, third) in names.items() if third is not None}
    return {
        key: official[name] if third is None else thirds[key][third] for key, (name, third) in names.items()
    }


def write_dit(path):
    """A `DiTPipeline`: the transformer in float32 and as variant fp16, both sharded."""
    shutil.copytree(GOLDEN / "diffusers_dit", path, ignore=shutil.ignore_patterns("*.md", "io.npz", "dit_*"))
    (path / "config.json").unlink()
    for variant, dtype in (("json", np.float32), ("fp16.json", np.float16)):
        index = path / "transformer" / f"diffusion_pytorch_model.safetensors.index.{variant}"
        places = json.loads(index.read_text())["weight_map"]
        for file in sorted(set(places.values())):
            held = {key: dit_state()[key].astype(dtype) for key, place in places.items() if place == file}
            save_file(held, path / "transformer" / file)
    return path


def edit(path, **changes):
    """Changes fields of a JSON file; None takes one away."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
