"""The multi-scale VQ tokenizer against outputs of the official code, slow oracles and properties."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.families.random_params import random_params
from jaxaudit.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig, phi_indices
from tests.golden import weights
from tests.golden.flax_params import flax_params

CONFIG = MultiScaleVQConfig(vocab_size=64, z_channels=8, ch=64, patch_nums=(1, 2, 3, 4, 5))
TOKENIZER = MultiScaleVQ(CONFIG)
DIGITS = MultiScaleVQConfig(
    vocab_size=16, z_channels=4, ch=8, ch_mult=(1, 2), num_res_blocks=1, patch_nums=(1, 2, 4), num_phi=2
)


@pytest.fixture(scope="module")
def golden():
    config, io = weights.load("var_tokenizer")
    params = jax.tree.map(jnp.asarray, flax_params(weights.state_dict(config, io)))
    return {"params": params}, weights.inputs(config), io


@pytest.fixture(scope="module")
def digits():
    tokenizer = MultiScaleVQ(DIGITS)
    images = jax.random.uniform(jax.random.key(1), (3, 8, 8, 3), minval=-1)
    return tokenizer, random_params(jax.eval_shape(tokenizer.init, jax.random.key(0), images)), images


def nhwc(x):
    return np.moveaxis(x, -3, -1)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@functools.partial(jax.jit, static_argnames=("method", "progressive"))
def apply(variables, x, method, **options):
    return TOKENIZER.apply(variables, x, method=method, **options)


def test_official_features_tokens_and_running_sums(golden):
    variables, inputs, io = golden

    @jax.jit
    def run(variables, images):
        tokenizer = TOKENIZER.bind(variables)
        features = tokenizer.features(images)
        return tokenizer.encoder(images), features, tokenizer.residual_quantise(features)

    encoded, features, quantised = run(variables, nhwc(inputs["images"]))
    close(encoded, nhwc(io["encoder_output"]))
    close(features, nhwc(io["features_after_quant_conv"]))
    np.testing.assert_array_equal(quantised.tokens, io["token_indices"])
    close(quantised.residuals, io["wrapper_tokenwise_latent"])
    close(quantised.f_hats, nhwc(io["fhat_per_scale"]))


def test_official_transformer_inputs(golden):
    variables, inputs, io = golden
    close(apply(variables, io["token_indices"], "var_input"), io["var_input"])
    close(apply(variables, inputs["random_tokens"], "var_input"), io["var_input_from_random_tokens"])


def test_official_reconstructions(golden):
    variables, inputs, io = golden
    full = apply(variables, np.concatenate([io["token_indices"], inputs["random_tokens"]]), "f_hat")
    progressive = apply(variables, io["token_indices"], "f_hat", progressive=True)
    close(full[:2], nhwc(io["fhat_per_scale"])[-1])
    close(progressive, nhwc(io["fhat_from_indices_same_shape_false"]))

    f_hats = jnp.concatenate([full, progressive, nhwc(inputs["random_fhat"])])
    images = np.moveaxis(np.asarray(apply(variables, f_hats, "decode_features")), -1, -3)
    close(images[:1], io["reconstruction"])
    close(images[2:4, ..., ::2, ::2], io["reconstruction_from_random_tokens"])
    close(images[4:6, ..., ::2, ::2], io["reconstruction_same_shape_false"])
    close(images[6:8, ..., ::2, ::2], io["fhat_to_img_of_random_fhat"])


def test_phi_tables(golden):
    _, _, io = golden
    assert phi_indices(5, 4) == tuple(io["phi_index_per_scale"])
    assert phi_indices(10, 4) == tuple(io["phi_index_for_10_scales"])
    assert phi_indices(3, 2) == (0, 0, 1)
    assert phi_indices(4, 4) == (0, 1, 2, 3)
    assert phi_indices(1, 1) == (0,)


def test_encode_decode_and_training_pass_agree(digits):
    tokenizer, variables, images = digits

    @jax.jit
    def run(variables, images):
        bound = tokenizer.bind(variables)
        tokens = bound.encode(images)
        return tokens, bound.decode(tokens), bound(images)

    tokens, decoded, trained = run(variables, images)
    assert tokens.shape == (3, 21)
    assert tokens.dtype == jnp.int32
    np.testing.assert_array_equal(trained.tokens, tokens)
    np.testing.assert_allclose(decoded, jnp.clip(trained.images, -1, 1), rtol=1e-5, atol=1e-5)


def test_training_loss_and_straight_through_gradient(digits):
    tokenizer, variables, _ = digits
    features = jax.random.normal(jax.random.key(3), (2, 4, 4, 4))
    direction = jax.random.normal(jax.random.key(4), features.shape)

    @jax.jit
    def run(variables, features):
        def quantise(variables, features, part):
            f_hat, _, loss = tokenizer.apply(variables, features, method="quantise", commitment=0.5)
            return (f_hat * direction).sum() if part == "f_hat" else loss

        quantised = tokenizer.apply(variables, features, method="residual_quantise")
        loss, gradients = jax.value_and_grad(quantise, (0, 1))(variables, features, "loss")
        return quantised, loss, gradients, jax.grad(quantise, (0, 1))(variables, features, "f_hat")

    quantised, loss, (to_codes, to_features), (codes_of_f_hat, through) = run(variables, features)
    errors = np.asarray(quantised.f_hats) - np.asarray(features)
    np.testing.assert_allclose(loss, 1.5 * np.mean(np.square(errors)), rtol=1e-5)
    # commitment 0.5 · d mean((f̂ - f)²) / df, mean over the scales too
    np.testing.assert_allclose(to_features, -0.5 * 2 * errors.mean(0) / features.size, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(through, direction, rtol=1e-6)
    quantiser = to_codes["params"]["quantize"]
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(quantiser))
    assert all(jnp.abs(leaf).max() == 0 for leaf in jax.tree.leaves(codes_of_f_hat["params"]["quantize"]))


def test_bfloat16_changes_the_features_little_and_the_quantiser_not_at_all(digits):
    tokenizer, variables, images = digits
    low = MultiScaleVQ(DIGITS, dtype=jnp.bfloat16)

    @jax.jit
    def run(variables, images):
        exact, rounded = tokenizer.bind(variables), low.bind(variables)
        features = exact.features(images)
        tokens = [bound.residual_quantise(features).tokens for bound in (exact, rounded)]
        return features, rounded.features(images), tokens

    features, rounded, (tokens, same) = run(variables, images)
    assert 0 < jnp.abs(rounded - features).max() < 0.05 * jnp.abs(features).max()
    np.testing.assert_array_equal(tokens, same)


def test_sizes():
    assert MultiScaleVQConfig().image_size == 256
    assert DIGITS.image_size == 8
    assert DIGITS.steps == (1, 4, 16)


@pytest.mark.parametrize("patch_nums", [(), (1, 3, 2), (1, 2, 2)])
def test_scales_must_ascend(patch_nums):
    with pytest.raises(InputError, match="must ascend"):
        dataclasses.replace(DIGITS, patch_nums=patch_nums)
