"""Conversion of MAR checkpoints and KL autoencoders: full-size layouts, and small files to parameters."""

import argparse
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from checkpoints_convert import kl_autoencoder
from checkpoints_convert.mapping import convert
from checkpoints_convert.mar import CONVERSION, infer_config
from checkpoints_convert.pipeline import convert_files
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, mar
from jaxaudit.tokenizers.kl_autoencoder import RELEASED, KLAutoencoder
from tests.golden import weights

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
        for part, case in (("generator", "mar"), ("tokenizer", "kl_vae_mar"))
    }


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("name", "num_params"),
    [("mar_base", 207_924_768), ("mar_large", 478_326_304), ("mar_huge", 942_403_104)],
)
def test_released_generators_fit_without_remainder(name, num_params):
    states = {"generator": manifest(name)[0], "tokenizer": manifest("kl16")[0]}
    config = infer_config(states)
    variant = get_family("mar").VARIANTS[name]
    assert config == variant.config
    assert CONVERSION.preprocessing(config) == variant.preprocessing
    abstract = mar.abstract_params(config)
    params = {
        part: convert(states[part], CONVERSION.parts[part].rows(states[part]), abstract[part])
        for part in states
    }
    assert params == abstract
    assert (size(params["generator"]), size(params["tokenizer"])) == (num_params, 66_456_019)
    assert manifest(name)[1] == num_params
    assert variant.num_params == {part: size(tree) for part, tree in params.items()}


@pytest.mark.parametrize(
    ("name", "table", "released"),
    [
        ("kl16", kl_autoencoder.COMPVIS, "kl16"),
        ("autoencoder_kl", kl_autoencoder.COMPVIS, "autoencoder_kl"),
        ("sd-vae-ft-ema", kl_autoencoder.diffusers(), "sd-vae-ft-ema"),
        ("sd-vae-ft-ema_legacy_names", kl_autoencoder.diffusers(), "sd-vae-ft-mse"),
    ],
)
def test_released_autoencoders_fit_without_remainder(name, table, released):
    state, num_params = manifest(name)
    variant = RELEASED[released]
    config = kl_autoencoder.infer_config(
        state, scale=variant.config.scale, latent_size=variant.config.latent_size
    )
    assert config == variant.config
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    abstract = jax.eval_shape(KLAutoencoder(config).init, jax.random.key(0), images)["params"]
    assert convert(state, table, abstract) == abstract
    assert size(abstract) == num_params == variant.num_params


def test_old_attention_names_mean_the_same():
    recorded, io = weights.load("kl_vae_sd")
    state = weights.state_dict(recorded, io)
    config = kl_autoencoder.infer_config(state, scale=0.18215, latent_size=10)
    images = jax.ShapeDtypeStruct((1, 40, 40, 3), jnp.float32)
    abstract = jax.eval_shape(KLAutoencoder(config).init, jax.random.key(0), images)["params"]
    old = dict(state)
    for new_name, old_name in recorded["legacy_key_renaming"].items():
        old = {key.replace(f".{new_name}.", f".{old_name}."): value for key, value in old.items()}
    assert len(old.keys() - state.keys()) == 16
    table = kl_autoencoder.diffusers(levels=3)
    jax.tree.map(
        np.testing.assert_array_equal, convert(old, table, abstract), convert(state, table, abstract)
    )


def test_decoders_may_be_less_deep_than_encoders():
    states = dict(golden_states())
    states["generator"] = {
        key: value for key, value in states["generator"].items() if not key.startswith("decoder_blocks.1.")
    }
    config = infer_config(states, num_heads=4)
    assert (config["generator"]["depth"], config["generator"]["decoder_depth"]) == (2, 1)
    abstract = mar.abstract_params(config)["generator"]
    convert(states["generator"], CONVERSION.parts["generator"].table, abstract)  # without remainder
    assert {name for name in abstract if "blocks" in name} == {
        "encoder_blocks_0",
        "encoder_blocks_1",
        "decoder_blocks_0",
    }
    size_ = config["tokenizer"]["image_size"]
    pictures = Preprocessing(size_, "none", size_, -1.0, 1.0)
    target = mar.build_target("uneven", config, {}, pictures, {})
    assert list(target.hidden_layers) == ["encoder block 0", "encoder block 1", "decoder block 0"]


def save(path, content):
    def tensors(value):
        return {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in value.items()}

    torch.save({key: tensors(x) if isinstance(x, dict) else x for key, x in content.items()}, path)
    return path


def test_files_with_averaged_weights(tmp_path):
    """The moving average is read, not the raw weights beside it; other traces of training are ignored."""
    states = golden_states()
    raw = {key: value + 1 for key, value in states["generator"].items()}
    options = argparse.Namespace(diffloss_d=3)
    files = {
        "generator": save(
            tmp_path / "checkpoint-last.pth",
            {"model": raw, "model_ema": states["generator"], "epoch": 400, "args": options},
        ),
        "tokenizer": save(
            tmp_path / "kl16.ckpt", {"model": states["tokenizer"] | {"loss.logvar": np.zeros((), np.float32)}}
        ),
    }
    converted = convert_files("mar", files, num_heads=4)
    assert converted.config["generator"] == {
        "num_classes": 10,
        "depth": 2,
        "width": 64,
        "num_heads": 4,
        "mlp_ratio": 4.0,
        "buffer_size": 8,
        "side": 6,
        "latent_channels": 8,
        "patch_size": 1,
        "head_depth": 3,
        "head_width": 80,
        "decoder_depth": 0,
    }
    assert (
        converted.config["tokenizer"].items()
        >= {
            "latent_channels": 8,
            "ch": 32,
            "ch_mult": [3, 2, 2],
            "num_res_blocks": 2,
            "encoder_attention_levels": [2],
            "scale": 0.2325,
            "image_size": 24,
        }.items()
    )
    nestings = {part: source["nesting"] for part, source in converted.provenance["sources"].items()}
    assert nestings == {"generator": "model_ema", "tokenizer": "model"}
    weight = states["generator"]["encoder_blocks.1.mlp.fc2.weight"]
    kernel = converted.params["generator"]["encoder_blocks_1"]["mlp"]["fc2"]["kernel"]
    np.testing.assert_array_equal(kernel, weight.T)
    assert size(converted.params["generator"]) == sum(value.size for value in states["generator"].values())


def test_raw_weights_alone_are_refused(tmp_path):
    states = golden_states()
    files = {
        "generator": save(tmp_path / "raw.pth", {"model": states["generator"], "epoch": 3}),
        "tokenizer": save(tmp_path / "kl16.ckpt", {"model": states["tokenizer"]}),
    }
    with pytest.raises(
        InputError, match=r"raw\.pth holds only the raw weights of a MAR generator \(at model\)"
    ):
        convert_files("mar", files, num_heads=4)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("generator", {}, r"do not tell its number of attention heads.* --num_heads"),
        ("generator", {"diffusion_pos_embed_learned": (1, 35, 64)}, "35 tokens, which is no square"),
        ("generator", {"diffloss.net.input_proj.weight": (80, 16)}, "tokens of 16 channels .* latents of 8"),
        ("tokenizer", {"post_quant_conv.weight": (16, 16, 1, 1)}, "tokens of 8 channels .* latents of 16"),
        ("tokenizer", {"encoder.conv_in.weight": None}, "no tensor encoder.conv_in.weight"),
    ],
)
def test_shapes_that_tell_too_little_or_contradict(part, change, message):
    states = {name: dict(state) for name, state in golden_states().items()}
    for key, shape in change.items():
        del states[part][key]
        if shape is not None:
            states[part][key] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=message):
        infer_config(states, num_heads=4 if change else None)


def test_heads_that_are_given():
    assert infer_config(golden_states(), num_heads=4)["generator"]["num_heads"] == 4
    with pytest.raises(InputError, match="num_heads=5 does not divide width=64"):
        infer_config(golden_states(), num_heads=5)
