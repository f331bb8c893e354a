"""Folders of Stable Diffusion: captions in, the recorded noise out; and the layout of the released files."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from checkpoints_convert.diffusers import autoencoder, text_encoder, unet
from checkpoints_convert.diffusers.pipeline import convert_folder
from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import convert
from jaxaudit.checkpoint import load_target, save_target
from jaxaudit.configs import from_dict
from jaxaudit.data.byte_pairs import read_vocabulary, token_ids
from jaxaudit.errors import InputError
from jaxaudit.families import sd
from jaxaudit.models.clip_text import CLIPText, CLIPTextConfig
from jaxaudit.models.unet import UNet, UNetConfig
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig, posterior
from jaxaudit_kernels.process import add_noise, noise_levels
from jaxaudit_kernels.processes import declared
from tests.diffusers_folders import GOLDEN, edit
from tests.golden import weights

FOLDER = GOLDEN / "diffusers_sd"
LEVELS = 4
UNET = {
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
VAE = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * LEVELS,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * LEVELS,
}
TEXT_ENCODER = {
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "vocab_size": 49408,
}
"""The configs of the released 1.4, as versions of 2022 wrote them."""

RECORDED, IO = weights.load("diffusers_sd")
INPUTS = {
    name: np.moveaxis(value, 1, -1) if value.ndim == 4 else value
    for name, value in weights.inputs(RECORDED).items()
}


def close(actual, expected):
    expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """In the manner of 2.x: v is predicted, projections are linear; and old names in the text encoder."""
    folder = tmp_path_factory.mktemp("diffusers") / "second"
    folder.mkdir()
    places = {"unet": "v_prediction/unet", "scheduler": "v_prediction/scheduler"}
    places["text_encoder"] = "text_encoder_old_names"
    for name in ("model_index.json", "unet", "vae", "scheduler", "text_encoder", "tokenizer"):
        (folder / name).symlink_to(FOLDER / places.get(name, name))
    return folder


def saved(tmp_path, converted):
    save_target(
        tmp_path / "target",
        family=converted.family,
        config=converted.config,
        params=converted.params,
        preprocessing=converted.preprocessing,
        provenance=converted.provenance,
        vocabulary=converted.vocabulary,
    )
    return load_target(tmp_path / "target")


@pytest.mark.slow
def test_captions_in_noise_out(tmp_path):
    converted = convert_folder(FOLDER, family="sd")
    assert "process" not in converted.config
    target = saved(tmp_path, converted)
    context = target.embed_captions(RECORDED["prompts"])
    close(context, IO["context"])
    close(target.predict_noise(INPUTS["x"], INPUTS["t"], context), IO["out"])
    latents = target.encode(INPUTS["images"])
    close(latents / 0.18215, IO["vae_mean"])
    close(target.decode(latents), np.clip(IO["vae_decoded"], -1, 1))
    np.testing.assert_allclose(target.process.alphas_cumprod, IO["alphas_cumprod"], rtol=1e-4)


def test_official_noising_and_steps():
    """x_t, v and a step of DDIM (eq. 12 of Song et al. 2021 with σ = 0) from t = 581."""
    process = declared(sd.PROCESS)
    level = noise_levels(process, jnp.asarray(INPUTS["t"]))
    x, noise = jnp.asarray(INPUTS["x"]), jnp.asarray(INPUTS["noise"])
    close(add_noise(x, level, noise), IO["x_t"])
    alphas = process.alphas_cumprod[INPUTS["t"]][:, None, None, None].astype(np.float32)
    close(np.sqrt(alphas) * noise - np.sqrt(1 - alphas) * x, IO["v_target"])
    a, b = process.alphas_cumprod[[581, 561]]
    assert {581, 561} <= set(IO["ddim_timesteps"].tolist())
    out = np.moveaxis(IO["out"], 1, -1)
    clean = (x - np.sqrt(1 - a) * out) / np.sqrt(a)
    close(np.sqrt(b) * clean + np.sqrt(1 - b) * out, IO["ddim_step"])


def test_official_pooled_caption_and_spread_of_latents():
    converted = convert_folder(FOLDER)
    params = jax.tree.map(jnp.asarray, jax.tree.map(np.asarray, converted.params))
    text = CLIPText(from_dict(CLIPTextConfig, converted.config["text_encoder"]))
    pooled = text.apply({"params": params["text_encoder"]}, jnp.asarray(IO["input_ids"]), method="pooled")
    close(pooled, IO["pooled"])
    autoencoder = KLAutoencoder(from_dict(KLAutoencoderConfig, converted.config["tokenizer"]))
    moments = autoencoder.apply(
        {"params": params["tokenizer"]}, jnp.asarray(INPUTS["images"]), method="moments"
    )
    mean, log_variance = posterior(moments)
    close(mean, IO["vae_mean"])
    close(np.exp(log_variance / 2), IO["vae_std"])


def test_ids_of_captions():
    vocabulary, tokens = read_vocabulary(FOLDER / "tokenizer"), convert_folder(FOLDER).config["text_encoder"]
    ids = token_ids(vocabulary, RECORDED["prompts"], length=tokens["length"], pad=tokens["pad_token"])
    np.testing.assert_array_equal(ids, IO["input_ids"])


@pytest.mark.slow
def test_v_prediction_and_old_names(second, tmp_path):
    converted = convert_folder(second)
    assert converted.config["process"] == {"name": "scaled_linear_beta", "predicts": "v"}
    assert converted.config["generator"]["heads"] == [2, 4]
    target = saved(tmp_path, converted)
    close(target.embed_captions(RECORDED["prompts"]), IO["context"])
    close(target.predict_noise(INPUTS["x"], INPUTS["t"], IO["context"]), IO["eps_from_v"])


def test_every_block():
    config = convert_folder(FOLDER).config["generator"]
    network = UNet(from_dict(UNetConfig, config))

    @jax.jit
    def run(params, x, t, context):
        return network.apply({"params": params}, x, t, context, capture_intermediates=True)

    def of(variant):
        params = jax.tree.map(np.asarray, convert_folder(FOLDER, variant=variant).params["generator"])
        return run(params, INPUTS["x"], jnp.asarray(INPUTS["t"]), IO["context"])

    out, shown = of(None)
    close(out, IO["out"])
    close(of("fp16")[0], IO["out_fp16_weights"])
    for ours, recorded in (
        ("time_embed", "time_embedding"),
        ("downsample_2", "down_block0"),
        ("input_blocks_3", "down_block1"),
        ("middle_blocks_2", "mid_block"),
        ("upsample_1", "up_block0"),
        ("output_transformer_3", "up_block1"),
    ):
        close(shown["intermediates"][ours]["__call__"][0], IO[recorded])


def test_a_lora_of_both_networks(tmp_path):
    """The text encoder of the folder is stored under names without the `text_model` that LoRA files have."""
    lora = {}
    for layer, inputs, outputs in (
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 12, 8),
        ("lora_te_text_model_encoder_layers_1_self_attn_q_proj", 12, 12),
    ):
        lora[f"{layer}.lora_down.weight"] = np.ones((1, inputs), np.float32)
        lora[f"{layer}.lora_up.weight"] = np.ones((outputs, 1), np.float32)
        lora[f"{layer}.alpha"] = np.array(0.25, np.float32)
    save_file(lora, tmp_path / "lora.safetensors")
    before = convert_folder(FOLDER).params
    after = convert_folder(FOLDER, lora=tmp_path / "lora.safetensors", lora_scale=2.0).params
    changed = {
        "/".join(path): np.asarray(leaf) - np.asarray(flatten_dict(before)[path])
        for path, leaf in flatten_dict(after).items()
        if not np.array_equal(leaf, flatten_dict(before)[path])
    }
    assert {path: change.shape for path, change in changed.items()} == {
        "generator/input_transformer_1/attn2/to_k/kernel": (12, 8),
        "text_encoder/layers_1/self_attn/q_proj/kernel": (12, 12),
    }
    for change in changed.values():
        np.testing.assert_allclose(change, 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("part", "module", "name", "settings"),
    [
        ("generator", unet, "unet", UNET),
        ("tokenizer", autoencoder, "vae", VAE),
        ("text_encoder", text_encoder, "text_encoder", TEXT_ENCODER),
    ],
)
def test_the_released_layout_fits_without_remainder(part, module, name, settings):
    manifest = json.loads((GOLDEN / "manifests" / f"sd-v1-4_diffusers_{name}.json").read_text())
    num_params = manifest.pop("num_parameters")
    state = {key: jax.ShapeDtypeStruct(spec["shape"], spec["dtype"]) for key, spec in manifest.items()}
    released = sd.VARIANTS["sd_1_4"].config
    told = {"vocabulary": {"end_token": 49407, "pad_token": 49407}, "generator": released["generator"]}
    config = module.NETWORK.config(Settings("config.json", settings), told)
    if part != "text_encoder":
        assert config == released[part]
    abstract = sd.abstract_params({**released, part: config})[part]
    assert convert(module.NETWORK.named(state), module.NETWORK.table(config), abstract) == abstract
    assert sum(leaf.size for leaf in jax.tree.leaves(abstract)) == num_params


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"in_channels": 9}, "out_channels=4; only 9 is known"),
        (
            {"addition_embed_type": "text_time"},
            "addition_embed_type='text_time', a setting that is not known",
        ),
        ({"up_block_types": ["UpBlock2D"] * 4}, "up_block_types="),
        ({"transformer_layers_per_block": [1, 2, 10]}, "transformer_layers_per_block"),
        ({"block_out_channels": [320, 480, 1280, 1280]}, "a level of 480 channels, no multiple of 320"),
        ({"block_out_channels": []}, r"block_out_channels=\[\]; expected one or more whole numbers of 1"),
        ({"block_out_channels": [0]}, r"block_out_channels=\[0\]; expected one or more whole numbers"),
        ({"block_out_channels": [None]}, r"block_out_channels=\[None\]; expected one or more"),
        ({"down_block_types": 3}, "down_block_types=3; expected one or more names"),
        ({"attention_head_dim": 0}, "attention_head_dim=0; expected one or more whole numbers of 1 or more"),
        ({"attention_head_dim": "x"}, "attention_head_dim='x'; expected one or more whole numbers"),
        ({"attention_head_dim": {}}, "attention_head_dim={}; expected"),
        ({"attention_head_dim": [5, 10]}, "must say how many for each of 4 levels"),
        ({"num_attention_heads": [8, 8, 8, "x"]}, "num_attention_heads=.*; expected one or more"),
        ({"norm_num_groups": 0}, "norm_num_groups=0, which does not divide 320"),
        ({"norm_num_groups": 7}, "norm_num_groups=7, which does not divide 320"),
        ({"layers_per_block": -1}, "num_res_blocks=-1 must be a whole number of 1 or more"),
    ],
)
def test_settings_that_are_not_understood(setting, message):
    with pytest.raises(InputError, match=message):
        unet.config(Settings("config.json", UNET | setting), {})


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (autoencoder, VAE | {"block_out_channels": 128}, "block_out_channels=128; expected one or more"),
        (autoencoder, VAE | {"norm_num_groups": 5}, "norm_num_groups=5, which does not divide 128"),
        (autoencoder, VAE | {"scaling_factor": float("nan")}, "cannot be scaled by nan"),
        (autoencoder, VAE | {"scaling_factor": 0.0}, "cannot be scaled by 0.0 and shifted by 0.0"),
        (text_encoder, TEXT_ENCODER | {"num_attention_heads": 0}, "num_heads=0 must be a whole number of 1"),
        (text_encoder, TEXT_ENCODER | {"num_attention_heads": -4}, "num_heads=-4 must be"),
        (text_encoder, TEXT_ENCODER | {"vocab_size": 0}, "vocab_size=0 must be a whole number of 1 or more"),
    ],
)
def test_sizes_that_are_none(module, settings, message):
    told = {"vocabulary": {"end_token": 49407, "pad_token": 49407}}
    told["generator"] = sd.VARIANTS["sd_1_4"].config["generator"]
    with pytest.raises(InputError, match=message):
        module.config(Settings("config.json", settings), told)


def test_tokens_that_the_vocabulary_has_not(second, tmp_path):
    folder = tmp_path / "sd"
    folder.mkdir()
    for path in second.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "tokenizer").unlink()
    (folder / "tokenizer").mkdir()
    for path in (second / "tokenizer").iterdir():
        (folder / "tokenizer" / path.name).write_text(path.read_text())
    edit(folder / "tokenizer" / "tokenizer_config.json", pad_token={"content": "!"})
    assert convert_folder(folder).config["text_encoder"]["pad_token"] == 0
    special = folder / "tokenizer" / "special_tokens_map.json"
    edit(folder / "tokenizer" / "tokenizer_config.json", pad_token="<|endoftext|>")
    assert convert_folder(folder).config["text_encoder"]["pad_token"] == 529
    special.write_text('{"pad_token": "!"}')  # as in 2.x, where the other file says the end
    assert convert_folder(folder).config["text_encoder"]["pad_token"] == 0
    special.unlink()
    edit(folder / "tokenizer" / "tokenizer_config.json", pad_token="<pad>")
    with pytest.raises(InputError, match="has pad_token='<pad>', a piece that vocab.json has no id for"):
        convert_folder(folder)
    (folder / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(InputError, match=r"vocab\.json cannot be read"):
        convert_folder(folder)
