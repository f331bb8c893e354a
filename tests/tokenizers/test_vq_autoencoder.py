"""The VQ first stages against outputs of the official code."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.vq_autoencoder import TABLE
from jaxaudit.tokenizers.vq_autoencoder import VQAutoencoder, VQAutoencoderConfig
from tests.golden import weights
from tests.golden.parts import stored_part

CONFIGS = {
    "vq_f8": VQAutoencoderConfig(vocab_size=64, ch=32, image_size=64),
    "vq_f4": VQAutoencoderConfig(
        vocab_size=64, latent_channels=3, ch=32, ch_mult=(1, 2, 4), attention_levels=(), image_size=32
    ),
}
CASES = sorted(CONFIGS)


def nchw(x):
    return np.moveaxis(np.asarray(x), -1, 1)


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4, **options)


@functools.cache
def outputs(case):
    """What ours and the official code make of the recorded inputs, and everything within."""
    config, (recorded, io) = CONFIGS[case], weights.load(case)
    model = VQAutoencoder(config)
    inputs = {name: jnp.moveaxis(x, 1, -1) for name, x in weights.inputs(recorded).items()}
    abstract = jax.eval_shape(model.init, jax.random.key(0), inputs["images"])["params"]
    params = jax.tree.map(jnp.asarray, convert(weights.state_dict(recorded, io), TABLE, abstract))

    @jax.jit
    def run(params, images, random):
        seen = {}

        def watch(call, arguments, options, context):
            out = call(*arguments, **options)
            seen["/".join(context.module.path)] = out
            return out

        def apply(method, *given):
            return model.apply({"params": params}, *given, method=method)

        with nn.intercept_methods(watch):
            latents = apply("encode", images)
            codes = apply("quantized", latents)
            decoded = apply("reconstruct", jnp.concatenate([codes, latents, apply("quantized", random)]))
        made = {
            "latents": latents,
            "indices": apply("tokens", latents),
            "quantized": codes,
            "random_indices": apply("tokens", random),
        }
        names = ("decoded", "decoded_not_quantized", "decoded_random")
        made |= dict(zip(names, jnp.split(decoded, 3), strict=True))
        if case == "vq_f4":
            made["clamped"] = apply("decode", random)
        blocks = {path: out[: len(images)] for path, out in seen.items() if out is not None}  # setup is None
        return blocks, made

    seen, made = run(params, inputs["images"], inputs["random_latents"])
    return seen, made, io, recorded


@pytest.mark.parametrize("case", CASES)
def test_official_outputs(case):
    _, made, io, recorded = outputs(case)
    for name in ("indices", "random_indices"):
        np.testing.assert_array_equal(made[name], io[name])
    for name in ("latents", "quantized", "decoded", "decoded_not_quantized", "decoded_random"):
        close(nchw(made[name])[stored_part(recorded, name)], io[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_official_blocks(case):
    seen, _, io, recorded = outputs(case)
    levels = len(CONFIGS[case].ch_mult)
    places = {
        "encoder_conv_in": "encoder/conv_in",
        "encoder_mid_attention": "encoder/mid/attn_1",
        "encoder_out": "encoder",
        "decoder_conv_in": "decoder/conv_in",
        "decoder_mid_out": "decoder/mid",
    }
    for i in range(levels):
        places |= {
            f"encoder_down{i}_last_resblock": f"encoder/down_{i}/block_1",
            f"encoder_down{i}_downsample": f"encoder/down_{i}/downsample",
            f"encoder_down{i}_last_attention": f"encoder/down_{i}/attn_1",
            f"decoder_up{i}_last_resblock": f"decoder/up_{i}/block_2",
            f"decoder_up{i}_last_attention": f"decoder/up_{i}/attn_2",
        }
    names = [name for name in io if name.startswith(("encoder", "decoder"))]
    assert len(names) > 10
    for name in names:
        close(nchw(seen[places[name]])[stored_part(recorded, name)], io[name], err_msg=name)


def test_decoded_pictures_are_clamped_reconstructions_of_codes():
    _, made, *_ = outputs("vq_f4")
    np.testing.assert_array_equal(made["clamped"], np.clip(made["decoded_random"], -1, 1))
    assert np.abs(made["decoded_random"]).max() > 1
