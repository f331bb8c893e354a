"""The program, from the official files to the official logits."""

import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
import torch
from absl.testing import flagsaver
from safetensors.numpy import save_file

from checkpoints_convert import __main__ as program
from jaxaudit.checkpoint import load_target, read_record
from tests.diffusers_folders import write_dit
from tests.golden import weights


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The golden weights as official .pth and as .safetensors files."""
    folder = tmp_path_factory.mktemp("official")
    for name, case in (("var", "var"), ("vae", "var_tokenizer")):
        state = weights.state_dict(*weights.load(case))
        torch.save({key: torch.from_numpy(value) for key, value in state.items()}, folder / f"{name}.pth")
        save_file(state, folder / f"{name}.safetensors")
    return folder


def run(monkeypatch, *arguments):
    """Exit code of the program in this process."""
    monkeypatch.setattr(sys, "argv", ["checkpoints_convert", *map(str, arguments)])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as exit_:
        program.run()
    return exit_.value.code or 0


def arguments(files, out, kind="pth"):
    return (
        "--family=var",
        f"--generator={files}/var.{kind}",
        f"--tokenizer={files}/vae.{kind}",
        f"--out={out}",
    )


def test_official_files_give_official_logits(files, tmp_path, monkeypatch, capfd):
    out, records = tmp_path / "targets" / "small", {}
    for kind in ("pth", "safetensors"):
        overwrite = ["--overwrite"] if records else []
        assert run(monkeypatch, *arguments(files, out, kind), *overwrite) == 0
        records[kind] = json.loads((out / "target.json").read_text())
        assert records[kind]["provenance"]["sources"]["generator"]["file"] == f"var.{kind}"
        assert list(out.parent.iterdir()) == [out]
    assert records["pth"]["fingerprint"] == records["safetensors"]["fingerprint"]
    printed = capfd.readouterr()
    assert "depth 2" in printed.out
    assert f"{records['pth']['num_params']:,} parameters in float32" in printed.out
    peak = re.search(r"memory +(\d+\.\d\d) GB at most", printed.out)
    assert peak is not None
    assert 0.1 < float(peak[1]) < 100
    assert printed.err == ""
    assert run(monkeypatch, *arguments(files, out)) == 2
    assert capfd.readouterr().err == f"{out} already holds a target; choose another, or say overwrite.\n"

    target = load_target(out)
    config, io = weights.load("var")
    inputs, tokens = weights.inputs(config), weights.load("var_tokenizer")[1]["token_indices"]
    np.testing.assert_array_equal(target.encode(inputs["images"].transpose(0, 2, 3, 1)), tokens)
    np.testing.assert_allclose(
        target.logits(tokens, inputs["labels"]), io["logits_cond"], atol=1e-4, rtol=1e-4
    )
    null = np.full_like(inputs["labels"], target.null_label)
    np.testing.assert_allclose(target.logits(tokens, null), io["logits_uncond"], atol=1e-4, rtol=1e-4)
    assert (target.num_classes, target.vocab_size, target.tokens_per_step) == (10, 64, (1, 4, 9, 16, 25))
    assert (target.preprocessing.image_size, target.preprocessing.short_side) == (80, 90)
    assert target.num_params == records["pth"]["num_params"]


@pytest.mark.slow
def test_half_the_disk(files, tmp_path, monkeypatch, capfd):
    outs = {dtype: tmp_path / dtype for dtype in ("float32", "bfloat16")}
    for dtype, out in outs.items():
        assert run(monkeypatch, *arguments(files, out), f"--dtype={dtype}") == 0
    whole, half = (read_record(out) for out in outs.values())
    assert (whole["dtypes"], half["dtypes"]) == (["float32"], ["bfloat16"])
    assert whole["fingerprint"] != half["fingerprint"]
    sizes = [sum(file["bytes"] for file in record["files"].values()) for record in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    assert capfd.readouterr().err == ""
    rounded = load_target(outs["float32"], dtype="bfloat16").params
    jax.tree.map(np.testing.assert_array_equal, load_target(outs["bfloat16"]).params, rounded)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "Flag --out must have a value"),
        ({"out": "{out}", "family": "vqgan"}, "vqgan"),
        ({"out": "{out}", "dtype": "float16"}, "float32|bfloat16"),
        (
            {"out": "{out}", "generator": "{files}/vae.pth"},
            "vae.pth is a VAR tokenizer, not a VAR generator.",
        ),
        (
            {"out": "{out}", "generator": "/nothing.pth"},
            "Cannot read /nothing.pth: No such file or directory.",
        ),
        ({"out": "{out}", "stray": None}, "Unexpected argument 'stray'"),
        ({"out": "{out}", "widht": "3"}, "Unknown command line flag 'widht'"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(files, tmp_path, monkeypatch, capfd, changed, reason):
    out = tmp_path / "out"
    flags = {"family": "var", "generator": f"{files}/var.pth", "tokenizer": f"{files}/vae.pth"} | changed
    given = [
        name if value is None else f"--{name}={value}".format(files=files, out=out)
        for name, value in flags.items()
    ]
    assert run(monkeypatch, *given) == 2
    printed = capfd.readouterr()
    assert reason in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_diffusers_folder_with_a_lora(tmp_path, monkeypatch, capfd):
    """Two halves of a change, each of rank one, so that scale, strength and layer all show."""
    folder, layer = write_dit(tmp_path / "dit"), "transformer_blocks.1.attn1.to_k"
    down, up = np.zeros((1, 64), np.float32), np.zeros((64, 1), np.float32)
    down[0, 3], up[5, 0] = 2.0, 0.5
    lora = {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}
    save_file(lora, tmp_path / "lora.safetensors")
    plain, changed = tmp_path / "plain", tmp_path / "changed"
    assert run(monkeypatch, f"--diffusers={folder}", f"--out={plain}") == 0
    options = [f"--lora={tmp_path}/lora.safetensors", "--lora_scale=0.5"]
    assert run(monkeypatch, f"--diffusers={folder}", f"--out={changed}", *options) == 0
    assert capfd.readouterr().err == ""
    before, after = (load_target(out).params for out in (plain, changed))
    differences = jax.tree.map(lambda one, other: np.abs(one - other).sum(), before, after)
    assert sum(jax.tree.leaves(differences)) == pytest.approx(0.5)
    kernel = after["generator"]["blocks_1"]["attn"]["qkv"]["kernel"]
    assert kernel[3, 64 + 5] == before["generator"]["blocks_1"]["attn"]["qkv"]["kernel"][3, 64 + 5] + 0.5
    assert read_record(changed)["provenance"]["lora"]["scale"] == 0.5
    assert read_record(changed)["fingerprint"] != read_record(plain)["fingerprint"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--diffusers={here}"], "is no folder of a diffusers pipeline"),
        (["--diffusers={here}", "--generator=a.pth"], "--generator has no meaning for --diffusers"),
        (["--diffusers={here}", "--num_heads=3"], "--num_heads has no meaning for --diffusers"),
        (
            ["--family=var", "--generator=a", "--tokenizer=b", "--lora=c"],
            "--lora has no meaning for --family=var",
        ),
        (["--diffusers={here}", "--lora_scale=0.5"], "--lora_scale needs the --lora that it belongs to"),
        (["--family=dit", "--generator=a", "--tokenizer=b", "--lora_scale=1"], "--lora_scale has no meaning"),
        (["--family=dit", "--generator=a", "--tokenizer=b", "--num_heads=0"], "=0: 0 is not a positive"),
        (["--family=dit", "--generator=a", "--tokenizer=b", "--num_heads=-4"], "-4 is not a positive"),
        (["--family=uvit", "--generator=a", "--tokenizer=b", "--context_length=0"], "context_length"),
        (["--family=llamagen", "--generator=a", "--tokenizer=b", "--image_size=0"], "image_size"),
        ([], "--family must have a value, or --diffusers"),
    ],
)
def test_what_goes_with_a_folder(tmp_path, monkeypatch, capfd, given, reason):
    arguments = [each.format(here=tmp_path) for each in given]
    assert run(monkeypatch, *arguments, f"--out={tmp_path}/out") == 2
    assert reason in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_as_a_module():
    command = [sys.executable, "-m", "checkpoints_convert", "--family=var"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--generator must have a value" in done.stderr
