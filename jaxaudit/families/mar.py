"""MAR as an audit target: the KL autoencoder, the masked transformer over its latents and the diffusion head.

Axes: B batch, H and W pixels, L tokens, M hidden tokens, R noises, C width, D channels of a token, F hidden
units of an MLP.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import wiring
from jaxaudit.families.contract import Variant
from jaxaudit.families.noise import configured
from jaxaudit.models import mar, mar_generation, mar_head
from jaxaudit.models.attention_backend import AttentionBackend, AttentionChoice, choose_backend
from jaxaudit.models.forward import forward
from jaxaudit.models.patches import patchify, unpatchify
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.targets import ContinuousFunctions, ContinuousTarget, HiddenLayers, Params
from jaxaudit.tokenizers import kl_autoencoder
from jaxaudit_kernels.processes import respace

_GENERATION_STEPS = 64
_SAMPLING_STEPS = 100

PARTITION = (
    *by_columns("qkv", "fc1", "adaLN_modulation_1", "mlp_0"),
    *by_rows("attn/proj", "fc2", "mlp_2"),
    *by_features("class_emb/embedding"),
)
"""How the parameters are split; in the head, mlp_0 and mlp_2 are the MLPs of its blocks and of the time."""


def build_target(
    name: str,
    config: Mapping[str, Any],
    params: Params,
    preprocessing: Preprocessing,
    provenance: Mapping[str, Any],
    *,
    dtype: DTypeLike = jnp.float32,
    platform: str | None = None,
    attention: AttentionChoice = "auto",
) -> ContinuousTarget:
    """The target with these parameters, {"generator": ..., "tokenizer": ...}.

    `config` holds the fields of `MARConfig` under "generator" and those of `KLAutoencoderConfig` under
    "tokenizer"; "output_noise" is described in `jaxaudit.families.noise`. `dtype` is the compute dtype;
    parameters keep their own. An image is generated in 64 steps, of 100 diffusion steps each, as the
    published audits do.

    Raises:
      InputError: if the two configs, or the preprocessing, do not fit each other, or the attention asked for
        cannot be used.
    """
    generator, tokenizer = _configs(config)
    wiring.check_preprocessing(preprocessing, tokenizer.image_size)
    platform = platform or jax.default_backend()
    backend = choose_backend(
        attention, platform=platform, dtype=dtype, head_width=generator.width // generator.num_heads
    )
    counts = mar_generation.hidden_counts(generator.num_tokens, _generation_steps(generator))
    target = ContinuousTarget(
        name=name,
        family="mar",
        platform=platform,
        params=params,
        functions=_functions(generator, tokenizer, jnp.dtype(dtype), backend),
        preprocessing=preprocessing,
        num_classes=generator.num_classes,
        latent_shape=(generator.num_tokens, generator.token_dim),
        num_timesteps=mar_head.TRAINING.num_levels,
        tokens_per_step=tuple(int(n) for n in -np.diff(counts)),
        hidden_layers=_hidden_layers(generator),
        autoencoder=wiring.autoencoder(
            kl_autoencoder.KLAutoencoder(tokenizer, jnp.dtype(dtype)),
            encode="encode",
            decode="reconstruct",
            quantise=None,
            low=-1.0,
            rows=None,
        ),
        partition=PARTITION,
        provenance=provenance,
    )
    return configured(target, config)


def abstract_params(config: Mapping[str, Any]) -> Params:
    """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed."""
    generator, tokenizer = _configs(config)
    spec = jax.ShapeDtypeStruct
    tokens = spec((1, generator.num_tokens, generator.token_dim), jnp.float32)
    labels, hidden = spec((1,), jnp.int32), spec((1, 1), jnp.int32)
    noised = spec((1, 1, generator.token_dim), jnp.float32)
    return {
        "generator": wiring.parameter_shapes(mar.MAR(generator), tokens, labels, hidden, noised, hidden),
        "tokenizer": wiring.tokenizer_shapes(kl_autoencoder.KLAutoencoder(tokenizer), tokenizer.image_size),
    }


def _configs(config: Mapping[str, Any]) -> tuple[mar.MARConfig, kl_autoencoder.KLAutoencoderConfig]:
    generator, tokenizer = wiring.read_configs(config, mar.MARConfig, kl_autoencoder.KLAutoencoderConfig)
    latent_size = generator.side * generator.patch_size
    wiring.check_agreement(
        ("latent_channels", generator.latent_channels, "latent_channels", tokenizer.latent_channels),
        ("side × patch_size", latent_size, "latent_size", tokenizer.latent_size),
    )
    return generator, tokenizer


def _hidden_layers(generator: mar.MARConfig) -> HiddenLayers:
    blocks = [f"{part}_blocks_{i}" for part, depth in generator.depths.items() for i in range(depth)]
    return wiring.mlp_layers(blocks)


def _generation_steps(generator: mar.MARConfig) -> int:
    return min(_GENERATION_STEPS, generator.num_tokens)


@functools.cache  # equal configs share their functions, hence their compiled programs
def _functions(
    generator_config: mar.MARConfig,
    tokenizer_config: kl_autoencoder.KLAutoencoderConfig,
    dtype: np.dtype,
    backend: AttentionBackend,
) -> ContinuousFunctions:
    generator = mar.MAR(generator_config, dtype, backend)
    head = generator_config.head(dtype)
    tokenizer = kl_autoencoder.KLAutoencoder(tokenizer_config, dtype)
    patch_size = generator_config.patch_size

    def encode(
        params: Params, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B L D"]:
        latents = forward(tokenizer, params["tokenizer"], images, key, method="encode")
        return patchify(latents, patch_size, mar.PATCH_ORDER)

    def decode(params: Params, latents: Float[Array, "B L D"]) -> Float[Array, "B H W 3"]:
        pixels = unpatchify(latents, patch_size, mar.PATCH_ORDER)
        return forward(tokenizer, params["tokenizer"], pixels, method="decode")

    def conditions(
        params: Params, latents: Float[Array, "B L D"], labels: Int[Array, " B"], hidden: Int[Array, "B M"]
    ) -> Float[Array, "B M C"]:
        inputs = latents, labels, hidden
        return forward(generator, params["generator"], *inputs, method="conditions")

    def head_losses(
        params: Params,
        z: Float[Array, "B M C"],
        latents: Float[Array, "B M D"],
        timestep: int | Int[Array, "..."],
        noise: Float[Array, "R B M D"],
    ) -> dict[str, Float[Array, "R B M"]]:
        return mar_head.losses(head, params["generator"]["diffloss"]["net"], z, latents, timestep, noise)

    def sample(params: Params, z: Float[Array, "B M C"], key: Key[Array, " B"]) -> Float[Array, "B M D"]:
        process = respace(mar_head.TRAINING, _SAMPLING_STEPS)
        start, noises = mar_head.gaussian(key, z.shape[1], generator_config.token_dim, steps=_SAMPLING_STEPS)
        return mar_head.sample(head, params["generator"]["diffloss"]["net"], process, z, start, noises)

    def activations(
        params: Params, latents: Float[Array, "B L D"], labels: Int[Array, " B"], hidden: Int[Array, "B M"]
    ) -> dict[str, Float[Array, "B _ _"]]:
        inputs, layers = (latents, labels, hidden), _hidden_layers(generator_config)
        return wiring.hidden_units(
            generator, params["generator"], *inputs, layers=layers, method="conditions"
        )

    def complete(
        params: Params,
        latents: Float[Array, "B L D"],
        labels: Int[Array, " B"],
        prefix: int,
        order: Int[Array, "B L"],
        key: Key[Array, " B"],
    ) -> Float[Array, "B L D"]:
        def draw(step: Array, count: int) -> tuple[Array, Array]:
            keys = jax.vmap(lambda key: jax.random.fold_in(key, step))(key)
            return mar_head.gaussian(keys, count, generator_config.token_dim, steps=_SAMPLING_STEPS)

        return mar_generation.complete(
            generator,
            params["generator"],
            latents,
            labels,
            order,
            draw,
            prefix=prefix,
            steps=_generation_steps(generator_config),
            sampling_steps=_SAMPLING_STEPS,
        )

    return ContinuousFunctions(encode, decode, conditions, head_losses, sample, activations, complete)


def _released(generator: ModelVariant) -> Variant:
    tokenizer = kl_autoencoder.RELEASED["kl16"]
    size = tokenizer.config.image_size
    pictures = Preprocessing(image_size=size, resize="adm", short_side=size, low=-1.0, high=1.0)
    return wiring.released(generator, tokenizer, pictures)


VARIANTS: dict[str, Variant] = {name: _released(facts) for name, facts in mar.VARIANTS.items()}
"""The released targets by name."""
