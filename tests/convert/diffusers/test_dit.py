"""A folder of a DiT pipeline: the official outputs, and the layout of the released file."""

import json

import jax
import numpy as np
import pytest

from checkpoints_convert.diffusers import dit
from checkpoints_convert.diffusers.pipeline import convert_folder
from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import convert
from jaxaudit.configs import to_dict
from jaxaudit.errors import InputError
from jaxaudit.families import dit as family
from jaxaudit.models.dit import VARIANTS, DiTConfig
from tests.diffusers_folders import GOLDEN, dit_state, write_dit
from tests.golden import weights

RELEASED = {
    "_class_name": "Transformer2DModel",
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "attention_head_dim": 72,
    "cross_attention_dim": None,
    "dropout": 0.0,
    "in_channels": 4,
    "norm_elementwise_affine": False,
    "norm_num_groups": 32,
    "norm_type": "ada_norm_zero",
    "num_attention_heads": 16,
    "num_embeds_ada_norm": 1000,
    "num_layers": 28,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "out_channels": 8,
    "patch_size": 2,
    "sample_size": 32,
    "use_linear_projection": False,
}
"""The config of the released folder, as versions of 2022 wrote it."""


def close(actual, expected):
    np.testing.assert_allclose(np.moveaxis(np.asarray(actual), -1, 1), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dit(tmp_path_factory.mktemp("diffusers") / "dit")


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_a_folder_gives_the_official_outputs(folder, variant):
    """DiT's own, not those of diffusers, which differ by up to 0.97."""
    converted = convert_folder(folder, variant=variant)
    recorded, io = weights.load("diffusers_dit")
    inputs = weights.inputs(recorded)
    params = jax.tree.map(np.asarray, converted.params)
    target = family.build_target("small", converted.config, params, converted.preprocessing, {})
    out = target.predict_noise(np.moveaxis(inputs["x"], 1, -1), inputs["t"], inputs["y"])
    close(out, io["out_official" if variant is None else "out_official_fp16_weights"][:, :4])
    if variant is None:
        assert abs(io["out_official"] - io["out_diffusers"]).max() > 0.5
        np.testing.assert_allclose(target.process.alphas_cumprod, io["alphas_cumprod"], rtol=1e-5)
        images = np.moveaxis(inputs["images"], 1, -1)
        latents = target.encode(images)
        close(latents / 0.18215, io["vae_mean"])
        close(target.decode(latents), np.clip(io["vae_decoded"], -1, 1))


def test_what_older_versions_wrote_is_the_default():
    said = Settings("config.json", RELEASED | {"attention_type": "default"})
    assert dit.NETWORK.config(said, {}) == to_dict(VARIANTS["dit_xl_2_256"].config)


def test_what_is_converted(folder):
    converted = convert_folder(folder, family="dit")
    assert set(converted.config) == {"generator", "tokenizer"}  # DiT's process goes without saying
    assert converted.config["generator"] == to_dict(
        DiTConfig(num_classes=10, depth=3, width=64, num_heads=4, latent_size=8)
    )
    tokenizer = converted.config["tokenizer"]
    assert (tokenizer["scale"], tokenizer["num_groups"], tokenizer["image_size"]) == (0.18215, 8, 16)
    assert converted.preprocessing.image_size == 16
    sources = converted.provenance["sources"]
    assert sources["generator"]["class"] == "DiTTransformer2DModel"
    assert len(sources["generator"]["files"]) == 5
    assert "vae/diffusion_pytorch_model.safetensors" in sources["tokenizer"]["files"]
    assert converted.provenance["pipeline"] == {"class": "DiTPipeline", "diffusers": "0.42.1"}
    assert jax.tree.leaves(convert_folder(folder, variant="fp16").params)[0].dtype == np.float32


def test_the_released_layout_fits_without_remainder():
    manifest = json.loads((GOLDEN / "manifests" / "diffusers_DiT-XL-2-256_transformer.json").read_text())
    num_params = manifest.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(spec["shape"], spec["dtype"]) for key, spec in manifest.items()}
    config = dit.NETWORK.config(Settings("config.json", RELEASED), {})
    assert config == to_dict(VARIANTS["dit_xl_2_256"].config)
    abstract = family.abstract_params({"generator": config, "tokenizer": None} | _autoencoder())["generator"]
    prepared = dit.prepare(state, config)
    pos_embed = prepared["pos_embed"]
    prepared["pos_embed"] = jax.ShapeDtypeStruct(pos_embed.shape, pos_embed.dtype)
    assert convert(prepared, dit.TABLE, abstract) == abstract
    copies = 27 * sum(spec.size for key, spec in state.items() if ".0.norm1.emb." in key)
    assert num_params - copies + pos_embed.size == VARIANTS["dit_xl_2_256"].num_params


def _autoencoder():
    return {"tokenizer": family.VARIANTS["dit_xl_2_256"].config["tokenizer"]}


def test_copies_that_differ_and_layers_that_do_not_fit_together():
    config = to_dict(DiTConfig(num_classes=10, depth=3, width=64, num_heads=4, latent_size=8))
    name = "transformer_blocks.2.norm1.emb.timestep_embedder.linear_1.bias"
    with pytest.raises(InputError, match=f"{name} is not the copy of transformer_blocks.0.norm1.emb"):
        dit.prepare(dit_state() | {name: dit_state()[name] + 1}, config)
    key = "transformer_blocks.1.attn1.to_k.weight"
    prepared = dit.prepare(dit_state() | {key: np.zeros((32, 64), np.float32)}, config)
    assert {key, key.replace("_k", "_q")} < set(prepared)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"norm_type": "ada_norm_single"}, "norm_type='ada_norm_single'; only 'ada_norm_zero' is known"),
        ({"out_channels": 6}, "out_channels=6; expected in_channels=4, or twice as many"),
        ({"num_layers": None}, "does not say num_layers"),
        ({"num_layers": "28"}, "num_layers='28'; expected a value of type int"),
        ({"attention_type": "gated"}, "attention_type='gated'; only 'default' is known"),
        ({"caption_channels": 4096}, "caption_channels=4096, a setting that is not known here"),
    ],
)
def test_settings_that_are_not_understood(setting, message):
    with pytest.raises(InputError, match=f"config.json.* {message}"):
        dit.NETWORK.config(Settings("config.json", RELEASED | setting), {})
