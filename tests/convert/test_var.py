"""VAR checkpoints: released layouts by their shapes, the config read from them, and files that do not fit."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from checkpoints_convert import pipeline
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files, matching_variant
from checkpoints_convert.var import CONVERSION, infer_config
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from tests.golden import weights
from tests.golden.flax_params import flax_params

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
VAR = get_family("var")
TOKENIZER_PARAMETERS = 108_948_355


@functools.cache
def manifest(name):
    content = json.loads((MANIFESTS / f"{name}.json").read_text())
    number = content.pop("num_parameters")
    return {key: jax.ShapeDtypeStruct(spec["shape"], spec["dtype"]) for key, spec in content.items()}, number


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("var_d16", 310_283_520),
        ("var_d20", 600_917_136),
        ("var_d24", 1_033_399_360),
        ("var_d30", 2_010_020_356),
        ("var_d36", 2_353_893_904),
        ("var_clip_d16", 310_046_720),
    ],
)
def test_released_layouts_convert_one_to_one(name, parameters):
    states = {"generator": manifest(name)[0], "tokenizer": manifest("vae_ch160v4096z32")[0]}
    assert (manifest(name)[1], manifest("vae_ch160v4096z32")[1]) == (parameters, TOKENIZER_PARAMETERS)
    config = infer_config(states)
    assert config == VAR.VARIANTS[name].config
    assert CONVERSION.preprocessing(config) == VAR.VARIANTS[name].preprocessing
    abstract = VAR.abstract_params(config)
    params = {part: convert(states[part], CONVERSION.parts[part].table, abstract[part]) for part in states}
    assert params == abstract
    for part, number in (("generator", parameters), ("tokenizer", TOKENIZER_PARAMETERS)):
        assert sum(leaf.size for leaf in jax.tree.leaves(params[part])) == number


@functools.cache
def _golden(case):
    return weights.state_dict(*weights.load(case))


def golden(case):
    return dict(_golden(case))


@pytest.mark.parametrize("case", ["var", "var_shared_aln"])
def test_the_table_agrees_with_the_naming_rule(case):
    states = {"generator": golden(case), "tokenizer": golden("var_tokenizer")}
    config = infer_config(states)
    assert config["generator"]["patch_nums"] == config["tokenizer"]["patch_nums"] == [1, 2, 3, 4, 5]
    assert config["generator"]["shared_aln"] == (case == "var_shared_aln")
    abstract = VAR.abstract_params(config)
    for part, state in states.items():
        params = convert(state, CONVERSION.parts[part].table, abstract[part])
        assert jax.tree.all(jax.tree.map(np.array_equal, params, flax_params(state)))


def test_an_uneven_schedule_is_read_from_its_buffer():
    sides = (1, 3, 4)
    generator = golden("var")
    length = sum(side * side for side in sides)
    generator["lvl_1L"] = np.repeat(np.arange(3), np.square(sides))[None]
    generator["pos_1LC"], generator["lvl_embed.weight"] = np.zeros((1, length, 128)), np.zeros((3, 128))
    tokenizer = golden("var_tokenizer") | {"quantize.ema_vocab_hit_SV": np.zeros((3, 64))}
    config = infer_config({"generator": generator, "tokenizer": tokenizer})
    assert config["generator"]["patch_nums"] == list(sides)
    assert CONVERSION.preprocessing(config).image_size == 4 * 16


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (np.zeros((1, 55), int), "scales of square size"),
        (np.repeat(np.arange(5), [1, 4, 9, 17, 24]), "scales of square size"),
        (np.repeat(np.arange(5), [1, 4, 9, 16, 25])[::-1], "scales of square size"),
        (np.repeat(np.arange(4), [1, 4, 9, 16]), "scales of square size"),
        (np.full(55, -1), "scales of square size"),
        (None, "55 tokens in 5 scales, which fits no released VAR"),
    ],
)
def test_a_schedule_that_cannot_be(level, reason):
    generator = golden("var") | {"lvl_1L": level}
    if level is None:
        del generator["lvl_1L"]
    with pytest.raises(InputError, match=reason):
        infer_config({"generator": generator, "tokenizer": golden("var_tokenizer")})


def test_plain_attention_has_heads_of_width_64():
    generator = {key: value for key, value in golden("var").items() if "scale_mul" not in key}
    config = infer_config({"generator": generator, "tokenizer": golden("var_tokenizer")})["generator"]
    assert (config["attn_l2_norm"], config["num_heads"]) == (False, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"quantize.embedding.weight": np.zeros((32, 8))},
            "vocabulary 64 in the generator, 32 in the tokenizer",
        ),
        (
            {"quantize.embedding.weight": np.zeros((64, 4))},
            "code width 8 in the generator, 4 in the tokenizer",
        ),
        ({"quantize.ema_vocab_hit_SV": np.zeros((10, 64))}, "number of scales 5 in the generator, 10 in the"),
        ({"quantize.embedding.weight": np.zeros(64)}, r"has shape \(64,\); expected 2 axes"),
    ],
)
def test_parts_that_do_not_belong_together(changes, reason):
    with pytest.raises(InputError, match=reason):
        infer_config({"generator": golden("var"), "tokenizer": golden("var_tokenizer") | changes})


def test_a_tensor_that_tells_the_shape_is_missing():
    generator = golden("var")
    del generator["head.weight"]
    with pytest.raises(InputError, match=r"no tensor head\.weight"):
        infer_config({"generator": generator, "tokenizer": golden("var_tokenizer")})


def save(path, state):
    torch.save(jax.tree.map(lambda array: torch.from_numpy(np.array(array)), state), path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    return {
        "generator": save(folder / "var.pth", golden("var")),
        "tokenizer": save(folder / "vae.pth", golden("var_tokenizer")),
    }


def test_swapped_files_are_told_apart(files):
    swapped = {"generator": files["tokenizer"], "tokenizer": files["generator"]}
    with pytest.raises(
        InputError, match=r"vae\.pth is a VAR tokenizer, not a VAR generator\. Are the two files"
    ):
        convert_files("var", swapped)
    with pytest.raises(
        InputError, match=r"var\.pth is a VAR generator, not a VAR tokenizer\. Are the two files"
    ):
        convert_files("var", files | {"tokenizer": files["generator"]})


def test_a_checkpoint_of_something_else(files, tmp_path):
    other = save(tmp_path / "resnet.pth", {f"layer{i}.weight": np.zeros(1) for i in range(7)})
    with pytest.raises(
        InputError, match=r"not a VAR generator: no tensors pos_1LC.* layer4\.weight and 2 more"
    ):
        convert_files("var", files | {"generator": other})


def test_a_checkpoint_of_another_family(files):
    with pytest.raises(InputError, match=r"var\.pth is a VAR generator, not a RAR generator\.$"):
        convert_files("rar", files)


def test_unknown_families_and_variants(files):
    with pytest.raises(InputError, match="did you mean var"):
        convert_files("vra", files)
    with pytest.raises(InputError, match=r"did you mean .*var_d30"):
        convert_files("var", files, variant="var_d31")
    with pytest.raises(
        InputError, match="do not hold var_d16: generator num_classes 10 instead of 1000, gen"
    ):
        convert_files("var", files, variant="var_d16")


def test_both_parts_report_in_one_message(files, tmp_path):
    generator, tokenizer = golden("var"), golden("var_tokenizer")
    del generator["blocks.0.ffn.fc1.bias"], generator["blocks.1.ffn.fc1.bias"]
    generator["blocks.1.attn.proj.weight"] = np.zeros((128, 64), np.float32)
    generator["blocks.1.attn.zero_k_bias"] = np.ones(128, np.float32)
    generator["pos_start"] = np.full((1, 1, 128), np.nan, np.float32)
    tokenizer["ema.decay"] = np.zeros(1, np.float32)
    broken = {
        "generator": save(tmp_path / "g.pth", generator),
        "tokenizer": save(tmp_path / "t.pth", tokenizer),
    }
    with pytest.raises(InputError) as error:
        convert_files("var", broken)
    for line in (
        "g.pth, read as a VAR generator, does not fit the model:",
        "    pos_start 128 of 128 values",
        "    blocks.1.attn.proj.weight [128, 64], turned into [64, 128], not [128, 128]",
        "    blocks.1.attn.zero_k_bias 128 of 128 values are not",
        "    blocks_{0,1}/ffn/fc1/bias [512] (2 times)",
        "t.pth, read as a VAR tokenizer, does not fit the model:",
        "    ema.decay [1]",
    ):
        assert line in str(error.value)


def test_a_training_checkpoint_holds_both_parts(files, tmp_path):
    trainer = {
        "var_wo_ddp": golden("var"),
        "vae_local": golden("var_tokenizer"),
        "var_opt": {"step": np.ones(1)},
    }
    path = save(tmp_path / "ar-ckpt-best.pth", {"epoch": np.ones(1), "trainer": trainer})
    together = convert_files("var", {"generator": path, "tokenizer": path})
    apart = convert_files("var", files)
    assert jax.tree.all(jax.tree.map(np.array_equal, together.params, apart.params))
    assert together.provenance["sources"]["tokenizer"]["nesting"] == "trainer/vae_local"
    assert apart.provenance["sources"]["tokenizer"] == {
        "file": "vae.pth",
        "url": None,
        "sha256": pipeline.sha256(files["tokenizer"]),
        "nesting": "",
    }
    assert matching_variant(apart) is None
