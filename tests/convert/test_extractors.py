"""Conversion of feature extractors: full-size layouts, file formats, and the program."""

import functools
import json
import sys
from pathlib import Path

import flax
import jax
import numpy as np
import pytest
import torch
from absl.testing import flagsaver
from safetensors.numpy import save_file

from checkpoints_convert import __main__ as program
from checkpoints_convert import inception, sscd
from checkpoints_convert.extractors import convert_extractor
from checkpoints_convert.mapping import convert
from jaxaudit.configs import to_dict
from jaxaudit.errors import InputError
from jaxaudit.feature_extractors import abstract_params, load_extractor
from jaxaudit.feature_extractors.base import NETWORKS
from tests.feature_extractors import torch_networks
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
CLASSIFIER = 2048 * 1008 + 1008
RELEASED = [
    ("sscd", "sscd_disc_mixup", "sscd_disc_mixup.torchvision", sscd, 0),
    ("sscd", "sscd_disc_mixup", "sscd_disc_mixup.classy", sscd, 1),
    ("sscd", "sscd_disc_large", "sscd_disc_large.classy", sscd, 1),
    ("inception", "inception_2015_12_05", "pt_inception-2015-12-05", inception, 0),
]


@functools.cache
def network():
    shape = {"sizes": (2, 1, 1, 1), "width": 8, "inner": 16, "groups": 4, "dim": 12}
    return torch_networks.randomised(torch_networks.SSCD(**shape))


def in_classy_layout(state):
    """torchvision's keys as Classy Vision names the same tensors."""
    names = {
        "conv1": "convolutional_block.0",
        "bn1": "convolutional_block.1",
        "conv2": "convolutional_block.3",
        "bn2": "convolutional_block.4",
        "conv3": "convolutional_block.6",
        "bn3": "bn",
    }
    renamed = {}
    for key, value in state.items():
        _, first, *rest = key.split(".")
        if first == "fc":
            name = ".".join(["embeddings.1", *rest])
        elif first.startswith("layer"):
            stage, (block, part, *rest) = int(first[5:]) - 1, rest
            name = ".".join([f"backbone.blocks.{stage}.block{stage}-{block}", names.get(part, part), *rest])
        else:
            name = ".".join([f"backbone.initial_block._module.{0 if first == 'conv1' else 1}", *rest])
        renamed[name] = value
    return renamed


@pytest.mark.parametrize(("kind", "variant", "file", "conversion", "layout"), RELEASED)
def test_released_files_fit_without_remainder(kind, variant, file, conversion, layout):
    entries = json.loads((MANIFESTS / f"{file}.json").read_text())
    num_parameters = entries.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()}
    released, config = NETWORKS[kind].variants[variant], conversion.infer_config(state)
    assert config == to_dict(released.config)
    params = convert(state, conversion.LAYOUTS[layout].table, abstract_params(kind, config))
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    learned = sum(leaf.size for path, leaf in flat.items() if "running" not in path)
    assert released.num_params == learned == num_parameters - (CLASSIFIER if kind == "inception" else 0)


def write(path, kind):
    state = network().state_dict()
    if kind == "safetensors":
        save_file(
            {key: np.ascontiguousarray(value) for key, value in torch_networks.arrays(network()).items()},
            path,
        )
    elif kind == "torchscript":
        torch.jit.trace(network(), torch.zeros(1, 3, 64, 64)).save(path)
    else:
        torch.save(in_classy_layout(state) if kind == "classy" else state, path)
    return path


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", ["classy", "torchscript", "safetensors"])
def test_every_layout_and_format_gives_the_same_parameters(tmp_path, kind):
    expected = convert_extractor("sscd", write(tmp_path / "torchvision.pt", "torchvision"))
    found = convert_extractor("sscd", write(tmp_path / "other.pt", kind))
    assert (
        found.config
        == expected.config
        == {
            "stage_sizes": [2, 1, 1, 1],
            "width": 8,
            "inner_width": 16,
            "groups": 4,
            "dim": 12,
        }
    )
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
    assert found.provenance["sha256"] != expected.provenance["sha256"]


def test_files_that_do_not_fit(tmp_path):
    file = write(tmp_path / "x.pt", "torchvision")
    with pytest.raises(InputError, match="x.pt is not a network of the FID: no tensors Conv2d_1a_3x3"):
        convert_extractor("inception", file)
    with pytest.raises(InputError, match="x.pt does not hold sscd_disc_mixup: its shape is"):
        convert_extractor("sscd", file, variant="sscd_disc_mixup")
    with pytest.raises(InputError, match="Unknown sscd variant 'sscd_mixup'; did you mean sscd_disc_mixup"):
        convert_extractor("sscd", file, variant="sscd_mixup")
    state = dict(network().state_dict())
    del state["backbone.bn1.running_var"]
    state["backbone.layer5.0.conv1.weight"] = torch.zeros(1)
    torch.save(state, file)
    with pytest.raises(InputError) as error:
        convert_extractor("sscd", file)
    assert "backbone.layer5.0.conv1.weight" in str(error.value)
    assert "backbone/bn1/running_var" in str(error.value)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["checkpoints_convert", *map(str, arguments)])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as exit_:
        program.run()
    return exit_.value.code or 0


def test_the_program_writes_an_extractor(tmp_path, monkeypatch, capfd):
    file, out = write(tmp_path / "x.pt", "torchvision"), tmp_path / "out.safetensors"
    assert run(monkeypatch, "--family=sscd", f"--weights={file}", f"--out={out}") == 0
    printed = capfd.readouterr()
    assert "parameters" in printed.out
    assert printed.err == ""
    extractor = load_extractor(out)
    assert (extractor.kind, extractor.dim, extractor.provenance["file"]) == ("sscd", 12, "x.pt")
    assert run(monkeypatch, "--family=sscd", f"--weights={file}", f"--out={out}") == 2
    assert "exists; choose another file" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--family=sscd", "--generator=x"], "--weights must have a value"),
        (["--family=sscd", "--weights=x", "--tokenizer=y"], "--tokenizer has no meaning for --family=sscd"),
        (["--family=var", "--generator=x", "--tokenizer=y", "--weights=z"], "--weights has no meaning"),
        (["--family=sscd", "--weights=x", "--num_heads=3"], "num_heads=3 is not needed"),
        (["--family=sscd", "--weights=x", "--image_size=3"], "image_size=3 is of targets; sscd has its own"),
        (
            ["--family=sscd", "--weights=x", "--dtype=bfloat16"],
            "dtype=bfloat16 is of targets; sscd is",
        ),
        (["--family=sscd", "--weights=/nothing.pt"], "Cannot read /nothing.pt"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(tmp_path, monkeypatch, capfd, arguments, reason):
    assert run(monkeypatch, *arguments, f"--out={tmp_path / 'out'}") == 2
    assert reason in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
