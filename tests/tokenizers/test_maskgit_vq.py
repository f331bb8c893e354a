"""The MaskGIT-VQGAN tokenizer against outputs of the official code, and properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.tokenizers.maskgit_vq import MaskGITVQ, MaskGITVQConfig
from tests.golden import weights
from tests.golden.flax_params import flax_params

CONFIG = MaskGITVQConfig(vocab_size=64, z_channels=16, ch=64, side=4)
TOKENIZER = MaskGITVQ(CONFIG)


@pytest.fixture(scope="module")
def golden():
    config, io = weights.load("rar_tokenizer")
    params = jax.tree.map(jnp.asarray, flax_params(weights.state_dict(config, io)))
    return {"params": params}, weights.inputs(config), io


def nhwc(x):
    return np.moveaxis(x, -3, -1)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_encoder(golden):
    variables, inputs, io = golden

    @jax.jit
    def run(variables, images):
        tokenizer = TOKENIZER.bind(variables)
        return tokenizer.features(images), tokenizer.encode(images)

    features, tokens = run(variables, nhwc(inputs["images"]))
    close(features, nhwc(io["encoder_output"]))
    assert tokens.dtype == jnp.int32
    np.testing.assert_array_equal(tokens, io["token_indices"])


def test_decoder(golden):
    variables, inputs, io = golden

    @jax.jit
    def run(variables, tokens):
        tokenizer = TOKENIZER.bind(variables)
        return tokenizer.decode_features(tokenizer.quantize.codes(tokens)), tokenizer.decode(tokens)

    unclamped, images = run(variables, np.concatenate([io["token_indices"], inputs["random_tokens"]]))
    close(images[:1], nhwc(io["reconstruction"]))
    close(images[2:, ::2, ::2], nhwc(io["reconstruction_from_random_tokens"]))
    close(unclamped[:2, ::2, ::2], nhwc(io["decoder_output_unclamped"]))
    assert unclamped.min() < 0
    assert unclamped.max() > 1


def test_codes_are_their_own_tokens(golden):
    """Features that are codes get those codes, and far features the code that a plain search finds."""
    variables, inputs, _ = golden
    tokens = jnp.asarray(inputs["random_tokens"])
    quantiser = TOKENIZER.bind(variables).quantize
    np.testing.assert_array_equal(quantiser(quantiser.codes(tokens)), tokens)

    features = np.random.default_rng(0).normal(size=(1, 4, 4, 16)).astype(np.float32) * 3
    codes = np.asarray(variables["params"]["quantize"]["embedding"]["embedding"], np.float64)
    nearest = [min(range(64), key=lambda v: ((z - codes[v]) ** 2).sum()) for z in features.reshape(-1, 16)]
    np.testing.assert_array_equal(quantiser(jnp.asarray(features)), [nearest])


def test_bfloat16_stays_close(golden):
    variables, _, io = golden
    decode = jax.jit(functools.partial(MaskGITVQ(CONFIG, jnp.bfloat16).apply, method="decode"))
    images = decode(variables, io["token_indices"][:1])
    assert images.dtype == jnp.float32
    np.testing.assert_allclose(images, nhwc(io["reconstruction"]), atol=0.1)
