"""What a folder must be: each thing that is wrong with one ends in one sentence, before anything is read."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from checkpoints_convert.diffusers.pipeline import convert_folder
from checkpoints_convert.diffusers.weights import read_weights
from jaxaudit.checkpoint import load_target
from jaxaudit.errors import InputError
from tests.diffusers_folders import dit_state, edit, write_dit

SHARD = "transformer/diffusion_pytorch_model-00003-of-00005.safetensors"
INDEX = "transformer/diffusion_pytorch_model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    return write_dit(tmp_path / "dit")


def refused(folder, message, **options):
    with pytest.raises(InputError, match=message) as error:
        convert_folder(folder, **options)
    assert "\n" not in str(error.value)


def test_a_folder_of_another_family(folder):
    message = "has a DiTTransformer2DModel, which is of the family dit, not uvit"
    refused(folder, message, family="uvit")


def test_folders_that_are_no_pipeline(folder, tmp_path):
    refused(tmp_path, "is no folder of a diffusers pipeline: it has no model_index.json")
    refused(tmp_path / "none", "it has no model_index.json")
    refused(folder / "vae", f"vae is one component of a pipeline; give .* likely {folder}")
    (folder / "model_index.json").write_text("{")
    refused(folder, "model_index.json is damaged: Expecting")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transformer": ["diffusers", "PixArtTransformer2DModel"]},
            "transformer is a PixArt.* known classes: DiT",
        ),
        (
            {"vae": ["diffusers", "VQModel"]},
            "vae is a VQModel, which is not known; known classes: AutoencoderKL",
        ),
        (
            {"text_encoder_2": ["transformers", "CLIPTextModel"]},
            r"text_encoder_2 \(CLIPTextModel\), a component",
        ),
        ({"transformer": None}, "lists no transformer or unet, or both"),
        ({"_class_name": None}, "does not say the class of its pipeline"),
        ({"vae": None}, "lists no vae; a model of pixels is not known here"),
    ],
)
def test_classes_that_are_not_known(folder, changes, message):
    edit(folder / "model_index.json", **changes)
    refused(folder, message)


@pytest.mark.parametrize("what", ["pipeline.py", "transformer/net.py", "auto_map", "library", "class"])
def test_code_of_a_folder_is_never_run(folder, what):
    shown = what
    if what.endswith(".py"):
        (folder / what).write_text("raise SystemExit('it was run')")
    elif what == "auto_map":
        edit(folder / "transformer" / "config.json", auto_map={"AutoModel": "net.Net"})
        shown = "transformer/config.json: auto_map"
    elif what == "library":
        edit(folder / "model_index.json", transformer=["net", "Net"])
        shown = "model_index.json: net"
    else:
        edit(folder / "model_index.json", _class_name=["pipeline", "DiTPipeline"])
        shown = "model_index.json: pipeline"
    refused(
        folder,
        rf"brings code of its own \({shown}\), which is never run; known classes: AutoencoderKL, CLIPText",
    )


def test_missing_components_and_shards(folder):
    (folder / SHARD).unlink()
    refused(
        folder,
        "lacks diffusion_pytorch_model-00003-of-00005.safetensors of the 5 files that .*index.json lists",
    )
    (folder / INDEX).unlink()
    refused(folder, "say --diffusers_variant=fp16")
    (folder / "vae" / "config.json").unlink()
    refused(folder, "Cannot read .*vae/config.json: No such file")


def test_indexes_that_are_of_other_files(folder):
    """As of a variant whose index was saved under the name of the other's."""
    index = folder / INDEX
    fp16 = index.with_name("diffusion_pytorch_model.safetensors.index.fp16.json")
    found = read_weights(folder / "transformer", variant="fp16")
    assert (found.variant, len(found.files)) == ("fp16", 3)
    fp16.rename(fp16.with_name("diffusion_pytorch_model.safetensors.fp16.index.json"))  # so do other versions
    assert read_weights(folder / "transformer", variant="fp16").files == found.files
    places = json.loads(index.read_text())["weight_map"]
    edit(index, weight_map={key: place for key, place in places.items() if key != "proj_out_1.bias"})
    refused(
        folder,
        "00005-of-00005.safetensors is not the file that .*index.json does not list with proj_out_1.bias",
    )
    edit(index, weight_map=places | {"proj_out_3.bias": places["proj_out_1.bias"]})
    refused(folder, "00005-of-00005.safetensors is not the file that .*index.json lists with proj_out_3.bias")
    edit(index, weight_map=[])
    refused(folder, "index.json is damaged")


def test_variants(folder):
    refused(folder, "no weights of the variant bf16; leave it out", variant="bf16")
    vae = read_weights(folder / "vae", variant="fp16")  # it has none: as diffusers does
    assert vae.variant is None
    for path in (folder / "transformer").glob("*model-*"):
        path.unlink()
    (folder / INDEX).unlink()
    refused(folder, "transformer has weights of variants only: say --diffusers_variant=fp16")
    for path in (folder / "transformer").glob("*fp16*"):
        path.unlink()
    refused(folder, "transformer has no weights, as diffusion_pytorch_model.safetensors")


def test_shards_without_their_index(folder):
    for path in (folder / "transformer").glob("*fp16*"):
        path.unlink()
    (folder / INDEX).unlink()
    refused(folder, "has shards of weights, but not their index")


def test_weights_that_do_not_fit_are_listed_together(folder):
    path = folder / SHARD
    save_file({f"{key}_": value for key, value in load_file(path).items()}, path)
    places = json.loads((folder / INDEX).read_text())["weight_map"]
    edit(
        folder / INDEX, weight_map={key + "_" * (place == path.name): place for key, place in places.items()}
    )
    with pytest.raises(InputError, match="transformer, a DiT transformer, does not fit the model") as error:
        convert_folder(folder)
    assert "tensors not part of the model" in str(error.value)
    assert "parameters missing" in str(error.value)


def test_files_of_pytorch_are_read_where_there_are_no_others(folder):
    import torch

    for path in (folder / "transformer").glob("*model*"):
        path.unlink()
    tensors = {key: torch.from_numpy(value) for key, value in dit_state().items()}
    torch.save(tensors, folder / "transformer" / "diffusion_pytorch_model.bin")
    found = read_weights(folder / "transformer").state
    np.testing.assert_array_equal(found["proj_out_1.bias"], dit_state()["proj_out_1.bias"])


def test_a_folder_is_no_target_and_the_error_says_what_makes_one_of_it(folder):
    command = f"--diffusers={folder} --out=targets/dit`, and load targets/dit"
    with pytest.raises(InputError, match=f"is a folder of diffusers, not yet a target: run .* {command}"):
        load_target(folder)
