"""LlamaGen's tokenizer against outputs of the official code, and what directions mean."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from checkpoints_convert.llamagen import CONVERSION
from checkpoints_convert.mapping import convert
from jaxaudit.tokenizers.llamagen_vq import LlamaGenVQ, LlamaGenVQConfig
from tests.golden import weights

CONFIG = LlamaGenVQConfig(vocab_size=64, z_channels=16, ch=32, ch_mult=(1, 2, 2), side=8)
TOKENIZER = LlamaGenVQ(CONFIG)
RECORDED = {
    "encoder_conv_in": ("encoder", "conv_in", (8, 2)),
    "encoder_block0_last_resblock": ("encoder", "down_0/block_1", (8, 2)),
    "encoder_block0_downsample": ("encoder", "down_0/downsample", (8, 1)),
    "encoder_block1_last_resblock": ("encoder", "down_1/block_1", (16, 1)),
    "encoder_block1_downsample": ("encoder", "down_1/downsample", (4, 1)),
    "encoder_block2_last_resblock": ("encoder", "down_2/block_1", (4, 1)),
    "encoder_block2_last_attention": ("encoder", "down_2/attn_1", (4, 1)),
    "encoder_mid_attention": ("encoder", "mid/attn_1", (4, 1)),
    "encoder_out": ("encoder", "", (1, 1)),
    "prequant": ("quant_conv", "", (1, 1)),
    "decoded": ("decoder", "", (1, 2)),
    "decoder_conv_in": ("decoder", "conv_in", (4, 1)),
    "decoder_mid_out": ("decoder", "mid", (4, 1)),
    "decoder_block0_last_resblock": ("decoder", "up_2/block_2", (4, 1)),
    "decoder_block1_last_resblock": ("decoder", "up_1/block_2", (16, 1)),
    "decoder_block2_last_resblock": ("decoder", "up_0/block_2", (8, 2)),
}
"""Part, layer, and the steps in channels and pixels of what was kept."""


def nhwc(x):
    return np.moveaxis(x, 1, -1)


def close(actual, expected, message=""):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4, err_msg=message)


@functools.cache
def golden():
    """Variables, inputs (images NHWC) and recorded outputs."""
    config, io = weights.load("llamagen_tokenizer")
    state, inputs = weights.state_dict(config, io), weights.inputs(config)
    images = jnp.asarray(nhwc(inputs["images"]))
    abstract = jax.eval_shape(TOKENIZER.init, jax.random.key(0), images)["params"]
    table = CONVERSION.parts["tokenizer"].rows(state)
    params = jax.tree.map(jnp.asarray, convert(state, table, abstract))
    return {"params": params}, images, jnp.asarray(inputs["random_tokens"]), io


def test_official_outputs():
    variables, images, _, io = golden()

    @jax.jit
    def run(variables, images):
        def both_ways(tokenizer, images):
            tokens = tokenizer.encode(images)
            codes = tokenizer.quantize.codes(tokens)
            return tokens, codes, tokenizer.decode_features(codes), tokenizer.decode(tokens)

        return TOKENIZER.apply(
            variables, images, method=both_ways, capture_intermediates=True, mutable=["intermediates"]
        )

    (tokens, codes, decoded, clamped), captured = run(variables, images)
    assert tokens.dtype == jnp.int32
    np.testing.assert_array_equal(tokens, io["indices"])
    close(codes, nhwc(io["quantized"]))
    np.testing.assert_array_equal(clamped, jnp.clip(decoded, -1, 1))
    assert np.abs(decoded).max() > 1
    for name, (part, layer, (channels, pixels)) in RECORDED.items():
        found = captured["intermediates"][part]
        for key in filter(None, layer.split("/")):
            found = found[key]
        close(found["__call__"][0][:, ::pixels, ::pixels, ::channels], nhwc(io[name]), name)


def test_official_pictures_of_tokens_that_no_picture_has():
    variables, _, tokens, io = golden()

    @jax.jit
    def run(variables, tokens):
        tokenizer = TOKENIZER.bind(variables)
        codes = tokenizer.quantize.codes(tokens)
        return codes, tokenizer.decode_features(codes), tokenizer.quantize(codes)

    codes, decoded, again = run(variables, tokens)
    close(codes, nhwc(io["random_codes"]))
    close(decoded[:, ::2, ::2], nhwc(io["decoded_random"]))
    np.testing.assert_array_equal(again, tokens)


def test_lengths_mean_nothing():
    """Neither of features nor of codes; the nearest direction is the one of the largest cosine."""
    variables, _, tokens, _ = golden()
    features = np.random.default_rng(0).standard_normal((4, 8, 8, 8)).astype(np.float32)
    codes = np.asarray(variables["params"]["quantize"]["embedding"]["embedding"], np.float64)
    cosine = features.reshape(4, 64, 8) @ (codes / np.linalg.norm(codes, axis=1, keepdims=True)).T
    longer = jax.tree.map(lambda x: x, variables)
    longer["params"]["quantize"] = {"embedding": {"embedding": jnp.asarray(7 * codes, jnp.float32)}}
    for some, scale in ((variables, 1), (variables, 30), (longer, 1)):
        quantiser = TOKENIZER.bind(some).quantize
        np.testing.assert_array_equal(quantiser(jnp.asarray(features * scale)), cosine.argmax(-1))
        close(quantiser.codes(tokens), TOKENIZER.bind(variables).quantize.codes(tokens))
