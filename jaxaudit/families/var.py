"""VAR as an audit target: the multi-scale VQ tokenizer and the transformer over its tokens.

VAR-CLIP is a VAR of captions: what it is told of one is the feature of CLIP's text encoder, of unit length.

Axes: B batch, H and W pixels, L tokens, C width, V vocabulary, F hidden units of an MLP.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import wiring
from jaxaudit.families.captions import text_encoder_shapes
from jaxaudit.families.contract import Variant
from jaxaudit.families.noise import configured
from jaxaudit.models import var
from jaxaudit.models.attention_backend import AttentionBackend, AttentionChoice, choose_backend
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget, HiddenLayers, Params
from jaxaudit.tokenizers import multiscale_vq
from jaxaudit_kernels.precision import matmul_precision

PARTITION = (
    *by_columns("mat_qkv", "fc1", r"(shared_)?ada_lin_\d+", "head"),
    *by_rows("attn/proj", "fc2"),
    *by_features("class_emb/embedding", "[qv]_bias"),
)
"""How the parameters are split."""


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
) -> DiscreteTarget:
    """The target with these parameters, {"generator": ..., "tokenizer": ...}.

    `config` holds the fields of `VARConfig` under "generator" and those of `MultiScaleVQConfig` under
    "tokenizer"; "output_noise" is described in `jaxaudit.families.noise`. `dtype` is the compute dtype;
    parameters keep their own.

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
    target = DiscreteTarget(
        name=name,
        family="var",
        platform=platform,
        params=params,
        functions=_functions(generator, tokenizer, jnp.dtype(dtype), backend, rows_at_once(platform)),
        preprocessing=preprocessing,
        num_classes=generator.num_classes,
        context_shape=generator.context_shape,
        null_path=("generator", "noise") if generator.context_dim else None,
        vocab_size=generator.vocab_size,
        guidance_schedule="linear",
        tokens_per_step=generator.steps,
        hidden_layers=_hidden_layers(generator),
        autoencoder=wiring.autoencoder(
            multiscale_vq.MultiScaleVQ(tokenizer, jnp.dtype(dtype)),
            encode="features",
            decode="decode_features",
            quantise="quantized",
            low=-1.0,
            rows=rows_at_once(platform),
        ),
        partition=PARTITION,
        provenance=provenance,
    )
    return configured(target, config)


def abstract_params(config: Mapping[str, Any]) -> Params:
    """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed."""
    generator, tokenizer = _configs(config)
    spec = jax.ShapeDtypeStruct
    inputs = spec((1, sum(generator.steps[1:]), generator.token_dim), jnp.float32)
    told = spec((1,), jnp.int32)
    if generator.context_shape:
        told = spec((1, *generator.context_shape), jnp.float32)
    return {
        "generator": wiring.parameter_shapes(var.VAR(generator), inputs, told),
        "tokenizer": wiring.tokenizer_shapes(multiscale_vq.MultiScaleVQ(tokenizer), tokenizer.image_size),
        **text_encoder_shapes(config, generator.context_shape),
    }


def _configs(config: Mapping[str, Any]) -> tuple[var.VARConfig, multiscale_vq.MultiScaleVQConfig]:
    generator, tokenizer = wiring.read_configs(config, var.VARConfig, multiscale_vq.MultiScaleVQConfig)
    wiring.check_agreement(
        ("vocab_size", generator.vocab_size, "vocab_size", tokenizer.vocab_size),
        ("token_dim", generator.token_dim, "z_channels", tokenizer.z_channels),
        ("patch_nums", generator.patch_nums, "patch_nums", tokenizer.patch_nums),
    )
    return generator, tokenizer


def _hidden_layers(generator: var.VARConfig) -> HiddenLayers:
    return wiring.mlp_layers([f"blocks_{i}" for i in range(generator.depth)], first="ffn/fc1")


@functools.cache  # equal configs share their functions, hence their compiled programs
def _functions(
    generator_config: var.VARConfig,
    tokenizer_config: multiscale_vq.MultiScaleVQConfig,
    dtype: np.dtype,
    backend: AttentionBackend,
    rows: int | None,
) -> DiscreteFunctions:
    generator = var.VAR(generator_config, dtype, backend)
    tokenizer = multiscale_vq.MultiScaleVQ(tokenizer_config, dtype)

    def transformer(params: Params) -> var.VAR:
        return generator.bind({"params": params["generator"]})

    def codes(params: Params) -> multiscale_vq.MultiScaleVQ:
        return tokenizer.bind({"params": params["tokenizer"]})

    def encode(params: Params, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        return map_rows(lambda images: codes(params).encode(images), images, rows=rows)

    def decode(params: Params, tokens: Int[Array, "B L"]) -> Float[Array, "B H W 3"]:
        return map_rows(lambda tokens: codes(params).decode(tokens), tokens, rows=rows)

    def hidden(params: Params, tokens: Int[Array, "B L"], condition: var.Told) -> Float[Array, "B L C"]:
        def some(tokens: Array, condition: Array) -> Array:
            return transformer(params).hidden(codes(params).var_input(tokens), condition)

        return map_rows(some, tokens, condition, rows=rows)

    def head(params: Params) -> tuple[Float[Array, "C V"], Float[Array, " V"]]:
        linear = params["generator"]["head"]
        return linear["kernel"].astype(dtype), linear["bias"].astype(jnp.float32)

    def activations(
        params: Params, tokens: Int[Array, "B L"], condition: var.Told
    ) -> dict[str, Float[Array, "B L _"]]:
        def some(tokens: Array, condition: Array) -> dict[str, Array]:
            inputs, layers = (codes(params).var_input(tokens), condition), _hidden_layers(generator_config)
            return wiring.hidden_units(
                generator, params["generator"], *inputs, layers=layers, method="hidden"
            )

        return map_rows(some, tokens, condition, rows=rows)

    def complete(
        params: Params,
        tokens: Int[Array, "B L"],
        condition: var.Told,
        prefix: int,
        noise: Callable[..., Float[Array, "B l V"]] | None = None,
    ) -> Int[Array, "B L"]:
        kernel, bias = head(params)
        chosen = jnp.split(tokens, np.cumsum(generator_config.steps)[:-1], axis=1)[:prefix]
        f_hat, cache, first = None, None, 0
        inputs = jnp.zeros((tokens.shape[0], 0, generator_config.token_dim), jnp.float32)
        for scale, length in enumerate(generator_config.steps):
            if scale > 0:
                f_hat = codes(params).extend(f_hat, chosen[scale - 1], scale - 1)
                inputs = jnp.concatenate([inputs, codes(params).next_input(f_hat, scale)], axis=1)
            if scale < prefix:
                continue  # the whole prefix runs in one pass, with the first scale to predict
            states, cache = transformer(params).advance(inputs, condition, cache, first=first, stop=scale + 1)
            logits = jnp.matmul(
                states[:, -length:],
                kernel,
                precision=matmul_precision(dtype),
                preferred_element_type=jnp.float32,
            )
            logits = logits + bias[None, None]
            if noise is not None:
                begin = sum(generator_config.steps[:scale])
                before = jnp.concatenate([*chosen, jnp.zeros_like(tokens[:, begin:])], axis=1)
                logits = logits + noise(before, condition, begin, length, logits.shape[-1])
            chosen.append(jnp.argmax(logits, axis=-1).astype(jnp.int32))
            inputs, first = inputs[:, :0], scale + 1
        return jnp.concatenate(chosen, axis=1)

    return DiscreteFunctions(encode, decode, hidden, head, activations, complete)


def _released(generator: ModelVariant) -> Variant:
    shape = dataclasses.replace(multiscale_vq.RELEASED.config, patch_nums=generator.config.patch_nums)
    tokenizer = dataclasses.replace(multiscale_vq.RELEASED, config=shape)
    size = shape.image_size
    pictures = Preprocessing(image_size=size, resize="lanczos", short_side=size * 9 // 8, low=-1.0, high=1.0)
    return wiring.released(generator, tokenizer, pictures)


VARIANTS: dict[str, Variant] = {name: _released(facts) for name, facts in var.VARIANTS.items()}
"""The released targets by name."""
