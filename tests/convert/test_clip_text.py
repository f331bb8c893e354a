"""Conversion of text encoders: layouts of files, full-size manifests, what config.json and folders say."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints_convert.clip_text import (
    as_transformers,
    infer_config,
    is_text_encoder,
    read_blocks,
    table,
)
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import Converted, matching_variant
from checkpoints_convert.special_tokens import pad_piece
from checkpoints_convert.text_encoders import add_text_encoder
from jaxaudit.checkpoint import load_target, save_target
from jaxaudit.data.byte_pairs import END, START, Vocabulary
from jaxaudit.errors import InputError
from jaxaudit.families import var
from jaxaudit.models.clip_text import VARIANTS, CLIPText, CLIPTextConfig
from tests import tiny, vocabulary
from tests.golden import weights

GOLDEN = Path(weights.__file__).parent
RELEASED_WORDS = Vocabulary({"!": 0, START: 49406, END: 49407}, {})
SETTINGS = {"num_attention_heads": 4, "hidden_act": "quick_gelu"}
NAMES = json.loads((GOLDEN / "clip_text" / "openai_names.json").read_text())


@functools.cache
def golden():
    """The recorded encoder in the transformers layout."""
    return weights.state_dict(*weights.load("clip_text"))


def openai():
    """The same in OpenAI's layout."""
    state = {key: np.concatenate([golden()[name] for name in names]) for key, names in NAMES.items()}
    return state | {"text_projection": state["text_projection"].T, "context_length": np.array(16)}


LAYOUTS = {
    "with text_model": golden,
    "without text_model": lambda: {key.removeprefix("text_model."): x for key, x in golden().items()},
    "old": lambda: golden() | {"text_model.embeddings.position_ids": np.arange(16)[None]},
    "all of CLIP": lambda: golden() | {"vision_model.a.weight": np.ones(3), "logit_scale": np.ones(())},
    "OpenAI": openai,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_encoder(layout):
    words = Vocabulary({START: 62, END: 63}, {})
    assert is_text_encoder(LAYOUTS[layout]())
    state = as_transformers(LAYOUTS[layout]())
    config = infer_config(state, SETTINGS, words, context_shape=(1, 40))
    assert config == CLIPTextConfig(64, 16, 48, 3, 4, 192, "gelu", 40, 63, 63)
    abstract = jax.eval_shape(CLIPText(config).init, jax.random.key(0), np.zeros((1, 16), np.int32))["params"]
    params = convert(state, table(feature=True), abstract)
    expected = convert(golden(), table(feature=True), abstract)
    assert jax.tree.all(jax.tree.map(np.array_equal, params, expected))


@functools.cache
def manifest(name):
    entries = json.loads((GOLDEN / "manifests" / f"{name}.json").read_text())
    number = entries.pop("num_parameters")
    return {
        key: jax.ShapeDtypeStruct(entry["shape"], entry["dtype"]) for key, entry in entries.items()
    }, number


@pytest.mark.parametrize(
    ("name", "variant", "context_shape", "pad"),
    [
        ("clip-vit-large-patch14_text", "clip_l_feature", (1, 768), "!"),
        ("sd-v1-4_diffusers_text_encoder", "clip_l_hidden", (77, 768), END),
    ],
)
def test_released_files_fit_without_remainder(name, variant, context_shape, pad):
    state, number = manifest(name)
    config = infer_config(state, None, RELEASED_WORDS, context_shape=context_shape, pad_piece=pad)
    assert config == VARIANTS[variant].config
    ids = jax.ShapeDtypeStruct((1, 77), np.int32)
    abstract = jax.eval_shape(CLIPText(config).init, jax.random.key(0), ids)["params"]
    assert convert(state, table(feature=context_shape[0] == 1), abstract) == abstract
    assert sum(leaf.size for leaf in jax.tree.leaves(abstract)) == number == VARIANTS[variant].num_params


def test_the_feature_is_that_of_the_exact_gelu_whatever_the_file_says():
    """VAR-CLIP's code loads the weights into a network with the exact GELU; hidden states are the file's."""
    words = Vocabulary({START: 62, END: 63}, {})
    assert infer_config(golden(), SETTINGS, words, context_shape=(1, 40)).activation == "gelu"
    assert infer_config(golden(), SETTINGS, words, context_shape=(16, 48)).activation == "quick_gelu"
    state, _ = manifest("clip-vit-large-patch14_text")
    assert infer_config(state, None, RELEASED_WORDS, context_shape=(1, 768)).activation == "gelu"


def vit_h(depth):
    """Shapes of the text encoder of OpenCLIP's ViT-H/14 (24 blocks), or of a folder of 2.x (23)."""
    top = {"embeddings.token_embedding.weight": (49408, 1024), "final_layer_norm.bias": (1024,)}
    top |= {"embeddings.position_embedding.weight": (77, 1024), "final_layer_norm.weight": (1024,)}
    layer = {f"self_attn.{name}_proj.weight": (1024, 1024) for name in ("q", "k", "v", "out")}
    layer |= {f"self_attn.{name}_proj.bias": (1024,) for name in ("q", "k", "v", "out")}
    layer |= {f"layer_norm{i}.{name}": (1024,) for i in (1, 2) for name in ("weight", "bias")}
    layer |= {"mlp.fc1.weight": (4096, 1024), "mlp.fc1.bias": (4096,)}
    layer |= {"mlp.fc2.weight": (1024, 4096), "mlp.fc2.bias": (1024,)}
    for i in range(depth):
        top |= {f"encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    return {f"text_model.{key}": jax.ShapeDtypeStruct(shape, np.float32) for key, shape in top.items()}


@pytest.mark.parametrize("settings", [None, {"num_attention_heads": 16, "hidden_act": "gelu"}])
@pytest.mark.parametrize(("depth", "pad"), [(23, "!"), (24, "!"), (24, END)])
def test_the_last_block_of_vit_h_is_not_read(settings, depth, pad):
    """A file of all 24 blocks is the same text encoder as the 23 of a folder of Stable Diffusion 2.x."""
    state, released = vit_h(depth), VARIANTS["clip_h_hidden"]
    config = infer_config(state, settings, RELEASED_WORDS, context_shape=(77, 1024), pad_piece=pad)
    assert config == released.config
    assert config.depth == 23
    ids = jax.ShapeDtypeStruct((1, 77), np.int32)
    abstract = jax.eval_shape(CLIPText(config).init, jax.random.key(0), ids)["params"]
    assert convert(read_blocks(state, config), table(feature=False), abstract) == abstract
    assert sum(leaf.size for leaf in jax.tree.leaves(abstract)) == released.num_params


@pytest.mark.parametrize(
    ("settings", "pad", "message"),
    [
        (None, END, "config.json must lie beside it"),
        ({"text_config": {"hidden_act": "gelu_new"}}, END, "Unknown activation function 'gelu_new'"),
        ({"layer_norm_eps": 1e-6}, END, "layer_norm_eps=1e-06"),
        (SETTINGS | {"hidden_act": ["gelu"]}, END, "Unknown activation function"),
        (SETTINGS | {"num_attention_heads": 0}, END, "num_heads=0 must be a whole number of 1 or more"),
        (SETTINGS | {"num_attention_heads": "4"}, END, "num_heads='4' must be a whole number"),
        ({"text_config": 3}, END, "text_config=3, which is no object"),
        (SETTINGS, "!", "has no id for '!'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_shapes_do_not_tell(settings, pad, message):
    words = Vocabulary({START: 62, END: 63}, {})
    with pytest.raises(InputError, match=message):
        infer_config(golden(), settings, words, context_shape=(16, 48), pad_piece=pad)


@pytest.fixture
def folder(tmp_path):
    """A released folder: weights, config.json, vocabulary; its embeddings are those of the tiny VAR-CLIP."""
    top = {"embeddings.token_embedding.weight": (vocabulary.SIZE, 6), "text_projection.weight": (6, 6)}
    top |= {"embeddings.position_embedding.weight": (8, 6)}
    layer = "encoder.layers.0."
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"):
        top |= {f"{layer}{name}.weight": (6, 6), f"{layer}{name}.bias": (6,)}
    top |= {f"{layer}mlp.fc1.weight": (8, 6), f"{layer}mlp.fc1.bias": (8,)}
    top |= {f"{layer}mlp.fc2.weight": (6, 8), f"{layer}mlp.fc2.bias": (6,)}
    for name in (f"{layer}layer_norm1", f"{layer}layer_norm2", "final_layer_norm"):
        top |= {f"{name}.weight": (6,), f"{name}.bias": (6,)}
    random = np.random.default_rng(0)
    state = {key: random.normal(size=shape).astype(np.float32) for key, shape in top.items()}
    vocabulary.save(tmp_path / "clip")
    save_file(state, tmp_path / "clip" / "model.safetensors")
    settings = {"text_config": {"num_attention_heads": 2, "hidden_act": "gelu"}}
    (tmp_path / "clip" / "config.json").write_text(json.dumps(settings))
    (tmp_path / "clip" / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "!"}}))
    return tmp_path / "clip"


def converted(family="var", config=tiny.VAR_CLIP_CONFIG, target=tiny.var_clip_target):
    made = target()
    return Converted(family, config, made.params, made.preprocessing, {"sources": {}})


def test_a_folder_becomes_a_target_that_embeds(folder, tmp_path):
    whole = add_text_encoder(converted(), folder)
    assert whole.config["text_encoder"] == {
        "vocab_size": vocabulary.SIZE, "length": 8, "width": 6, "depth": 1, "num_heads": 2, "mlp_width": 8,
        "activation": "gelu", "feature_dim": 6, "end_token": vocabulary.SIZE - 1, "pad_token": 0,
    }  # fmt: skip
    assert whole.provenance["sources"]["text_encoder"]["file"] == "model.safetensors"
    save_target(tmp_path / "target", **vars(whole))
    embed = load_target(tmp_path / "target").embed_captions
    features = embed(["a hand", "to", "a hand"])
    assert features.shape == (3, 1, 6)
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(features[0], features[2])
    assert np.abs(features[0] - features[1]).max() > 0.01


def test_hidden_states_are_told_where_the_generator_reads_several_tokens(folder):
    config = tiny.CAPTIONED_CONFIG | {"generator": tiny.CAPTIONED_CONFIG["generator"] | {"context_length": 8}}
    whole = add_text_encoder(converted("uvit", config, tiny.captioned_target), folder / "model.safetensors")
    assert whole.config["text_encoder"]["feature_dim"] is None
    assert set(whole.params["text_encoder"]) == {
        "token_embedding", "position_embedding", "layers_0", "final_layer_norm"
    }  # fmt: skip


def test_the_vocabulary_may_lie_elsewhere(folder, tmp_path):
    (folder / "vocab.json").unlink()
    with pytest.raises(InputError, match=r"clip/vocab.json cannot be read"):
        add_text_encoder(converted(), folder)
    words = vocabulary.save(tmp_path / "tokenizer")
    assert add_text_encoder(converted(), folder, vocabulary=words).vocabulary == words


def test_a_text_encoder_changes_no_variant():
    assert matching_variant(converted()) is None
    released = var.VARIANTS["var_clip_d16"]
    config = {**released.config, "text_encoder": {}}
    assert matching_variant(Converted("var", config, {}, released.preprocessing, {})) == "var_clip_d16"


@pytest.mark.parametrize(
    ("model", "path", "message"),
    [
        ("classes", "clip", "The var model reads no captions"),
        ("captions", "empty", "holds no text encoder: neither model.safetensors nor pytorch_model.bin"),
        ("captions", "empty/nothing.safetensors", "No such file"),
        ("captions", "empty/other.safetensors", "is no CLIP text encoder"),
    ],
)
def test_what_is_no_text_encoder(folder, tmp_path, model, path, message):
    (tmp_path / "empty").mkdir()
    given = converted()
    if path.endswith("other.safetensors"):
        save_file({"a": np.ones(3)}, tmp_path / path)
    if model == "classes":
        given = converted(config=tiny.VAR_CONFIG, target=tiny.var_target)
    with pytest.raises(InputError, match=message):
        add_text_encoder(given, tmp_path / path)


@pytest.mark.parametrize(
    ("config", "special", "piece"),
    [
        (None, None, END),
        ({"pad_token": "!"}, None, "!"),
        ({"pad_token": {"content": "!"}}, {"bos_token": START}, "!"),
        ({"pad_token": END}, {"pad_token": "!"}, "!"),
        (None, {"pad_token": {"content": "!", "lstrip": False}}, "!"),
        ({"pad_token": END, "added_tokens_decoder": {}}, {"pad_token": "!"}, END),
    ],
)
def test_what_fills_captions_up(tmp_path, config, special, piece):
    for name, content in (("tokenizer_config.json", config), ("special_tokens_map.json", special)):
        if content is not None:
            (tmp_path / name).write_text(json.dumps(content))
    assert pad_piece(tmp_path) == piece


def test_a_special_token_of_the_folder_fills_captions_up(folder):
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": END}))
    assert add_text_encoder(converted(), folder).config["text_encoder"]["pad_token"] == vocabulary.SIZE - 1
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "!"}))
    assert add_text_encoder(converted(), folder).config["text_encoder"]["pad_token"] == 0


@pytest.mark.parametrize("told", [3, ["!"], {"id": 0}])
def test_what_is_no_piece(tmp_path, told):
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": told}))
    with pytest.raises(
        InputError, match=r"special_tokens_map\.json has pad_token=.*, which is no piece of text"
    ):
        pad_piece(tmp_path)


def test_a_config_that_is_no_json(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="config.json cannot be read as JSON"):
        add_text_encoder(converted(), folder)
