"""The MAR family: official losses through the target, facts of the released variants, properties."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.mar import CONVERSION
from jaxaudit.configs import from_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family, mar
from jaxaudit.families.random_params import random_params
from jaxaudit.models.mar import PATCH_ORDER
from jaxaudit.models.patches import patchify
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig
from tests.golden import weights

CONFIG = {
    "generator": {
        "num_classes": 10,
        "depth": 2,
        "width": 64,
        "num_heads": 4,
        "buffer_size": 8,
        "side": 6,
        "latent_channels": 8,
        "head_depth": 3,
        "head_width": 80,
    },
    "tokenizer": {
        "latent_channels": 8,
        "ch": 32,
        "ch_mult": [3, 2, 2],
        "encoder_attention_levels": [2],
        "image_size": 24,
    },
}
PREPROCESSING = Preprocessing(24, "none", 24, -1.0, 1.0)


@functools.cache
def golden():
    """The target of the recorded case, its tokens and labels, its outputs and the recording's config."""
    recorded, io = weights.load("mar")
    abstract = mar.abstract_params(CONFIG)
    params = {
        part: convert(weights.state_dict(*weights.load(case)), CONVERSION.parts[part].table, abstract[part])
        for part, case in (("generator", "mar"), ("tokenizer", "kl_vae_mar"))
    }
    target = mar.build_target("golden", CONFIG, jax.tree.map(jnp.asarray, params), PREPROCESSING, {})
    return target, io["tokens"], weights.inputs(recorded)["labels"], io, recorded


def draws(name, shape):
    random = np.random.RandomState(golden()[4]["noise_streams"][name])
    return [random.standard_normal(shape).astype(np.float32) for _ in range(2)]


def test_official_losses():
    """The published attack's loss per token: two noises, over the hidden tokens of the whole batch."""
    target, tokens, labels, io, recorded = golden()
    mask = io["mask_A"]
    noise = draws("wrapper_loss", (2, 2, 36, 8))[0]
    losses = [target.token_losses(tokens, labels, mask, recorded["wrapper"]["timestep"], n) for n in noise]
    loss = np.stack([each["loss"] for each in losses])
    np.testing.assert_allclose(loss / (2 * mask.sum()), io["wrapper_loss_fn"].reshape(2, 2, 36), atol=1e-6)
    np.testing.assert_array_equal(loss[:, mask == 0], 0.0)


def test_official_losses_over_orders():
    """The mean of the same over the orders that hide the token; an order hides its first 95%."""
    target, tokens, labels, io, _ = golden()
    total, count = np.zeros((2, 36)), np.zeros((2, 36))
    for orders, noise in zip(
        io["loss_per_token_orders"], draws("loss_per_token", (2, 2, 36, 8)), strict=True
    ):
        mask = np.zeros((2, 36))
        np.put_along_axis(mask, orders[:, : math.ceil(0.95 * 36)], 1, axis=1)
        losses = [target.token_losses(tokens, labels, mask, np.full((2, 36), 500), n)["loss"] for n in noise]
        total += np.mean(losses, 0) / (2 * mask.sum())
        count += mask
    np.testing.assert_allclose(total / (count + 1e-6), io["loss_per_token"], atol=1e-6)


def test_activations_of_encoder_and_decoder_blocks():
    target, tokens, labels, io, _ = golden()
    activations = target.activations(tokens, labels, io["mask_B"])
    shapes = {name: units.shape for name, units in activations.items()}
    assert shapes == {f"encoder block {i}": (2, 22, 256) for i in range(2)} | {
        f"decoder block {i}": (2, 44, 256) for i in range(2)
    }
    assert list(shapes) == list(target.hidden_layers)
    for i in range(2):
        encoder = activations[f"encoder block {i}"][..., ::8]
        decoder = activations[f"decoder block {i}"][:, ::2, ::8]
        np.testing.assert_allclose(encoder, io[f"encoder_block{i}_mlp_hidden_B"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(decoder, io[f"decoder_block{i}_mlp_hidden_B"], rtol=1e-4, atol=1e-4)


def test_pictures_to_tokens_and_back():
    """Tokens are 2 x 2 scaled latent pixels, channel by channel; a key per image draws from the posterior."""
    tiny = {"latent_channels": 8, "ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "image_size": 12}
    config = {
        "generator": CONFIG["generator"] | {"side": 3, "patch_size": 2},
        "tokenizer": tiny | {"encoder_attention_levels": []},
    }
    params = random_params(mar.abstract_params(config))
    target = mar.build_target("tiny", config, params, Preprocessing(12, "none", 12, -1.0, 1.0), {})
    images = np.random.default_rng(0).uniform(-1, 1, (2, 12, 12, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    tokenizer = KLAutoencoder(from_dict(KLAutoencoderConfig, config["tokenizer"]))

    @jax.jit
    def run(params, images, keys):
        latents = target.functions.encode(params, images)
        variables = {"params": params["tokenizer"]}
        moments = tokenizer.apply(variables, images, method="moments")
        pixels = jnp.moveaxis(latents.reshape(2, 3, 3, 8, 2, 2), 3, -1).swapaxes(2, 3).reshape(2, 6, 6, 8)
        pictures = tokenizer.apply(variables, pixels, method="decode")
        noise = jax.vmap(lambda key: jax.random.normal(key, (6, 6, 8)))(keys)
        return latents, pixels, pictures, moments, noise, target.functions.encode(params, images, keys)

    latents, pixels, pictures, moments, noise, drawn = run(params, images, keys)
    assert latents.shape == (2, 9, 32)
    np.testing.assert_allclose(pixels, 0.2325 * moments[..., :8], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(target.decode(latents), pictures, atol=1e-5)
    expected = 0.2325 * (moments[..., :8] + np.exp(0.5 * moments[..., 8:]) * noise)
    np.testing.assert_allclose(drawn, patchify(expected, 2, PATCH_ORDER), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=r"\(2, 10, 12, 3\) do not fit; expected \[B,12,12,3\]"):
        target.encode(images[:, :10])


def generated(target, tokens, labels, *, prefix, order, seeds):
    key = jax.vmap(jax.random.key)(jnp.array(seeds))
    return np.asarray(target.complete(tokens, labels, prefix, order=order, key=key))


def test_completion_depends_on_its_own_image_and_prefix_only():
    target, tokens, labels, _, recorded = golden()
    order = weights.inputs(recorded)["orders_B"]
    assert target.tokens_per_step[:3] == (1, 1, 1)
    assert sum(target.tokens_per_step) == 36
    assert len(target.tokens_per_step) == 36
    kept = np.zeros((2, 36), bool)
    np.put_along_axis(kept, order[:, :30], True, axis=1)
    unread = np.where(kept[..., None], tokens, np.nan)
    complete = functools.partial(generated, target)
    first = complete(tokens, labels, prefix=30, order=order, seeds=[1, 2])
    np.testing.assert_array_equal(first[kept], tokens[kept])
    assert np.isfinite(first).all()
    assert (first[~kept] != tokens[~kept]).all()
    np.testing.assert_array_equal(complete(unread, labels, prefix=30, order=order, seeds=[1, 2]), first)
    turned = complete(tokens[::-1], labels[::-1], prefix=30, order=order[::-1], seeds=[2, 1])[::-1]
    largest = np.abs(first).max()
    np.testing.assert_allclose(turned / largest, first / largest, atol=1e-5)
    other = complete(tokens, labels, prefix=30, order=order, seeds=[3, 2])
    assert (other[0][~kept[0]] != first[0][~kept[0]]).all()
    np.testing.assert_allclose(other[1] / largest, first[1] / largest, atol=1e-5)
    np.testing.assert_array_equal(complete(tokens, labels, prefix=36, order=order, seeds=[1, 2]), tokens)


def test_losses_do_not_depend_on_the_batch_and_repeat_exactly():
    target, tokens, labels, io, _ = golden()
    noise = np.random.default_rng(0).standard_normal(tokens.shape).astype(np.float32)
    times = np.arange(72).reshape(2, 36) * 13
    losses = target.token_losses(tokens, labels, io["mask_A"], times, noise)
    again = target.token_losses(tokens, labels, io["mask_A"], times, noise)
    beside = [np.stack([x[0], x[1][::-1]]) for x in (tokens, io["mask_A"], times, noise)]
    other = target.token_losses(beside[0], np.array([labels[0], target.null_label]), *beside[1:])
    for name, value in losses.items():
        np.testing.assert_array_equal(value, again[name])
        np.testing.assert_allclose(value[0], other[name][0], rtol=1e-5)
        assert np.any(value[1] != other[name][1])


def test_sampling_uses_the_tokens_own_condition_and_key():
    target, _, _, io, _ = golden()
    z = jnp.asarray(io["z_cond_B"])[:, :4]
    sample = jax.jit(target.functions.sample)
    keys = jax.random.split(jax.random.key(0), 2)
    drawn = sample(target.params, z, keys)
    turned = sample(target.params, z[::-1], keys[::-1])[::-1]
    largest = np.abs(drawn).max()
    np.testing.assert_allclose(turned / largest, drawn / largest, atol=1e-5)
    assert (sample(target.params, z, keys[::-1]) != drawn).all()


def test_half_precision_computes_about_the_same():
    target, tokens, labels, io, _ = golden()
    half = mar.build_target("half", CONFIG, target.params, PREPROCESSING, {}, dtype=jnp.bfloat16)
    noise = np.random.default_rng(0).standard_normal(tokens.shape).astype(np.float32)
    expected = target.token_losses(tokens, labels, io["mask_A"], 500, noise)["loss"]
    actual = half.token_losses(tokens, labels, io["mask_A"], 500, noise)["loss"]
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=0.1, atol=0.05)


def test_released_targets_generate_in_the_published_steps():
    variant = get_family("mar").VARIANTS["mar_base"]
    target = mar.build_target("b", variant.config, {}, variant.preprocessing, {})
    assert (len(target.tokens_per_step), sum(target.tokens_per_step), max(target.tokens_per_step)) == (
        64,
        256,
        7,
    )
    assert (target.latent_shape[1], target.num_timesteps, target.null_label) == (16, 1000, 1000)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.ones((2, 35), int)}, r"shape \[B,36\]"),
        ({"mask": np.full((2, 36), 2)}, "must hold 0 and 1"),
        ({"mask": np.zeros((2, 36), int)}, "at least one; its rows hide 0"),
        ({"mask": np.arange(72).reshape(2, 36) < 37}, "its rows hide 1, 36"),
        ({"timestep": 1000}, r"1000 is not in 0\.\.999"),
        ({"timestep": 0.5}, "must be an int"),
        ({"labels": np.array([0, 11])}, "Label 11 is out of range"),
        ({"noise": np.zeros((2, 36, 7))}, r"expected \[B,36,8\]"),
    ],
)
def test_unusable_arguments(changes, message):
    target, tokens, labels, io, _ = golden()
    arguments = {"labels": labels, "mask": io["mask_B"], "timestep": 0, "noise": tokens} | changes
    with pytest.raises(InputError, match=message):
        target.token_losses(tokens, **arguments)


def test_unusable_configs_and_orders():
    target, tokens, labels, *_ = golden()
    with pytest.raises(InputError, match="prefix=37"):
        generated(target, tokens, labels, prefix=37, order=np.zeros((2, 36), int), seeds=[0, 1])
    with pytest.raises(InputError, match="order must list"):
        generated(target, tokens, labels, prefix=0, order=np.zeros((2, 36), int), seeds=[0, 1])
    for part, field, message in (
        ("generator", {"side": 5}, "patch_size=5, its tokenizer latent_size=6"),
        ("tokenizer", {"latent_channels": 4}, "latent_channels=8, its tokenizer latent_channels=4"),
        ("generator", {"num_heads": 5}, "num_heads=5 does not divide width=64"),
    ):
        with pytest.raises(InputError, match=message):
            mar.abstract_params(CONFIG | {part: CONFIG[part] | field})
    with pytest.raises(InputError, match="makes 256 px pictures"):
        mar.build_target("wrong", CONFIG, {}, Preprocessing(256, "adm", 256, -1.0, 1.0), {})
