"""The KL autoencoder against outputs of three official implementations, closed forms and properties."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert import kl_autoencoder as tables
from checkpoints_convert.mapping import convert
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig, posterior, sample
from tests.golden import weights

SMALL = {"ch_mult": (3, 2, 2), "ch": 32, "image_size": 40}
CASES = {
    "kl_vae_mar": (
        KLAutoencoderConfig(latent_channels=8, encoder_attention_levels=(2,), scale=0.2325, **SMALL),
        tables.COMPVIS,
    ),
    "kl_vae_uvit": (
        KLAutoencoderConfig(latent_channels=4, encoder_attention_levels=(), scale=0.18215, **SMALL),
        tables.COMPVIS,
    ),
    "kl_vae_sd": (
        KLAutoencoderConfig(
            latent_channels=4,
            encoder_attention_levels=(),
            scale=0.18215,
            **SMALL | {"ch": 64, "ch_mult": (1, 1.5, 1)},
        ),
        tables.diffusers(levels=3),
    ),
}
SCALED = {"kl_vae_mar": "scaled_latents", "kl_vae_uvit": "encoded", "kl_vae_sd": "dit_latents"}
DECODED = {"kl_vae_mar": "decoded_mean", "kl_vae_uvit": "decoded_encoded", "kl_vae_sd": "decoded_dit_latents"}


def nhwc(x):
    return np.moveaxis(x, 1, -1)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@functools.cache
def golden(case):
    """Variables, inputs and recorded outputs of a case, and one compiled pass through everything."""
    config, table = CASES[case]
    recorded, io = weights.load(case)
    model = KLAutoencoder(config)
    images = jax.ShapeDtypeStruct((1, 40, 40, 3), jnp.float32)
    abstract = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    params = jax.tree.map(np.asarray, convert(weights.state_dict(recorded, io), table, abstract))
    inputs = {name: jnp.asarray(nhwc(value)) for name, value in weights.inputs(recorded).items()}

    @jax.jit
    def run(variables, images, key, latents):
        outputs = {
            "moments": model.apply(variables, images, method="moments"),
            "decoded": model.apply(variables, latents, method="reconstruct"),
        }
        if case == "kl_vae_uvit":  # the rest is the same for all of them
            outputs["mean"] = model.apply(variables, images, method="encode")
            outputs["draw"] = model.apply(variables, images, key, method="encode")
            outputs["clamped"] = model.apply(variables, latents, method="decode")
        return outputs

    return {"params": params}, inputs, io, run


def recorded_mean(io):
    return nhwc(io["moments"][:, : io["moments"].shape[1] // 2])


def latents_to_decode(case, inputs, io):
    """The latents [4,h,w,C] of both recorded decodings; only U-ViT's class takes them scaled, like ours."""
    scale = CASES[case][0].scale
    if case == "kl_vae_mar":
        latents = scale * recorded_mean(io), scale * inputs["z"]
    elif case == "kl_vae_sd":
        latents = nhwc(io["dit_latents"]), scale * inputs["z"]
    else:
        latents = nhwc(io["encoded"]), inputs["z"]
    return np.concatenate(latents).astype(np.float32)


@pytest.mark.parametrize("case", sorted(CASES))
def test_official_outputs(case):
    variables, inputs, io, run = golden(case)
    keys = jax.random.split(jax.random.key(0), 2)
    outputs = run(variables, inputs["images"], keys, latents_to_decode(case, inputs, io))
    scale = CASES[case][0].scale
    close(outputs["moments"], nhwc(io["moments"]))
    drawn = sample(outputs["moments"], inputs["sample_noise"])
    close(scale * drawn, nhwc(io[SCALED[case]]))
    if "posterior_sample" in io:
        close(drawn, nhwc(io["posterior_sample"]))
    close(outputs["decoded"], np.concatenate([nhwc(io[DECODED[case]]), nhwc(io["decoded_z"])]))
    if case == "kl_vae_uvit":
        close(outputs["mean"], scale * recorded_mean(io))
        np.testing.assert_array_equal(outputs["clamped"], np.clip(outputs["decoded"], -1, 1))
        assert np.abs(outputs["decoded"]).max() > 1


def test_draws_depend_on_their_own_key_only():
    variables, inputs, io, run = golden("kl_vae_uvit")
    images, latents = inputs["images"], latents_to_decode("kl_vae_uvit", inputs, io)
    keys, others = jax.random.split(jax.random.key(0), 2), jax.random.split(jax.random.key(1), 2)
    drawn = run(variables, images, keys, latents)
    swapped = run(variables, images[::-1], keys[::-1], latents)
    np.testing.assert_allclose(drawn["draw"], swapped["draw"][::-1], atol=1e-6)
    other = run(variables, images, others, latents)
    np.testing.assert_array_equal(drawn["mean"], other["mean"])
    # Two draws of N(mean, scale² σ²) differ by noise of variance 2 scale² σ².
    deviation = CASES["kl_vae_uvit"][0].scale * np.exp(0.5 * posterior(drawn["moments"])[1])
    noise = (drawn["draw"] - other["draw"]) / (np.sqrt(2) * deviation)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1], atol=0.1)


def test_kl_divergence_of_the_posterior():
    _, _, io, _ = golden("kl_vae_mar")
    mean, log_variance = posterior(jnp.asarray(nhwc(io["moments"])))
    kl = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance).sum((1, 2, 3))
    np.testing.assert_allclose(kl, io["kl"], rtol=1e-4)


@pytest.mark.parametrize("case", sorted(CASES))
def test_log_variance_is_clamped(case):
    _, inputs, io, _ = golden(case)
    moments = inputs["clamp_moments"]
    if case == "kl_vae_uvit":  # recorded as a draw
        drawn = CASES[case][0].scale * sample(moments, inputs["clamp_noise"])
        np.testing.assert_allclose(drawn, nhwc(io["clamp_sample"]), rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(posterior(moments)[1], nhwc(io["clamp_logvar"]))


def test_autoencoders_of_later_models():
    """Without 1×1 convolutions, as with ones that do nothing; latents shifted before they are scaled."""
    fields = {
        "latent_channels": 2,
        "ch": 4,
        "ch_mult": (1,),
        "num_res_blocks": 1,
        "encoder_attention_levels": (),
    }
    config = KLAutoencoderConfig(**fields, scale=2.0, image_size=4, num_groups=2, mid_attention=False)
    later = KLAutoencoder(dataclasses.replace(config, shift=0.5, quant_conv=False, post_quant_conv=False))
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 4, 4, 3)), jnp.float32)
    params = later.init(jax.random.key(0), images)["params"]
    assert sorted(params) == ["decoder", "encoder"]
    identity = {
        name: {"kernel": jnp.eye(n)[None, None], "bias": jnp.zeros(n)}
        for name, n in (("quant_conv", 4), ("post_quant_conv", 2))
    }

    def apply(model, params, x, method):
        return model.apply({"params": params}, x, method=method)

    whole, latents = KLAutoencoder(config), apply(later, params, images, "encode")
    expected = apply(whole, params | identity, images, "encode")
    np.testing.assert_allclose(latents, expected - 2.0 * 0.5, rtol=1e-5, atol=1e-5)
    decoded = apply(later, params, latents, "reconstruct")
    np.testing.assert_allclose(
        decoded, apply(whole, params | identity, expected, "reconstruct"), rtol=1e-5, atol=1e-5
    )
