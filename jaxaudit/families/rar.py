"""RAR as an audit target: the MaskGIT-VQGAN tokenizer and the causal transformer over its tokens.

Axes: B batch, H and W pixels, L tokens, C width, V vocabulary, F hidden units of an MLP.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import wiring
from jaxaudit.families.contract import Variant
from jaxaudit.families.noise import configured
from jaxaudit.models import rar
from jaxaudit.models.attention_backend import AttentionBackend, AttentionChoice, choose_backend
from jaxaudit.models.forward import forward
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.partition import by_columns, by_features, by_rows
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget, HiddenLayers, Params
from jaxaudit.tokenizers import maskgit_vq

PARTITION = (
    *by_columns("qkv", "fc1", "adaLN_modulation_1", "lm_head"),
    *by_rows("attn/proj", "fc2"),
    *by_features("embeddings/embedding"),
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

    `config` holds the fields of `RARConfig` under "generator" and those of `MaskGITVQConfig` under
    "tokenizer"; "output_noise" is described in `jaxaudit.families.noise`. `dtype` is the compute dtype;
    parameters keep their own. Row n of its activations is the position that predicts token n.

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
        family="rar",
        platform=platform,
        params=params,
        functions=_functions(generator, tokenizer, jnp.dtype(dtype), backend, rows_at_once(platform)),
        preprocessing=preprocessing,
        num_classes=generator.num_classes,
        vocab_size=generator.vocab_size,
        guidance_schedule="cosine",
        tokens_per_step=(1,) * generator.num_tokens,
        hidden_layers=_hidden_layers(generator),
        partition=PARTITION,
        provenance=provenance,
    )
    return configured(target, config)


def abstract_params(config: Mapping[str, Any]) -> Params:
    """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed."""
    generator, tokenizer = _configs(config)
    spec = jax.ShapeDtypeStruct
    tokens, labels = spec((1, generator.num_tokens), jnp.int32), spec((1,), jnp.int32)
    return {
        "generator": wiring.parameter_shapes(rar.RAR(generator), tokens, labels),
        "tokenizer": wiring.tokenizer_shapes(maskgit_vq.MaskGITVQ(tokenizer), tokenizer.image_size),
    }


def _configs(config: Mapping[str, Any]) -> tuple[rar.RARConfig, maskgit_vq.MaskGITVQConfig]:
    generator, tokenizer = wiring.read_configs(config, rar.RARConfig, maskgit_vq.MaskGITVQConfig)
    wiring.check_agreement(
        ("vocab_size", generator.vocab_size, "vocab_size", tokenizer.vocab_size),
        ("num_tokens", generator.num_tokens, "num_tokens", tokenizer.num_tokens),
    )
    return generator, tokenizer


def _hidden_layers(generator: rar.RARConfig) -> HiddenLayers:
    return wiring.mlp_layers([f"blocks_{i}" for i in range(generator.depth)])


@functools.cache  # equal configs share their functions, hence their compiled programs
def _functions(
    generator_config: rar.RARConfig,
    tokenizer_config: maskgit_vq.MaskGITVQConfig,
    dtype: np.dtype,
    backend: AttentionBackend,
    rows: int | None,
) -> DiscreteFunctions:
    generator = rar.RAR(generator_config, dtype, backend)
    tokenizer = maskgit_vq.MaskGITVQ(tokenizer_config, dtype)

    def encode(params: Params, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        def some(images: Array) -> Array:
            return forward(tokenizer, params["tokenizer"], images, method="encode")

        return map_rows(some, images, rows=rows)

    def decode(params: Params, tokens: Int[Array, "B L"]) -> Float[Array, "B H W 3"]:
        def some(tokens: Array) -> Array:
            return forward(tokenizer, params["tokenizer"], tokens, method="decode")

        return map_rows(some, tokens, rows=rows)

    # The last token predicts nothing, so it is not read.
    def hidden(params: Params, tokens: Int[Array, "B L"], labels: Int[Array, " B"]) -> Float[Array, "B L C"]:
        def some(tokens: Array, labels: Array) -> Array:
            return forward(generator, params["generator"], tokens[:, :-1], labels, method="hidden")

        return map_rows(some, tokens, labels, rows=rows)

    def head(params: Params) -> tuple[Float[Array, "C V"], Float[Array, " V"]]:
        linear = params["generator"]["lm_head"]
        return linear["kernel"].astype(dtype), linear["bias"].astype(jnp.float32)

    def activations(
        params: Params, tokens: Int[Array, "B L"], labels: Int[Array, " B"]
    ) -> dict[str, Float[Array, "B L _"]]:
        def some(tokens: Array, labels: Array) -> dict[str, Array]:
            inputs, layers = (tokens[:, :-1], labels), _hidden_layers(generator_config)
            return wiring.hidden_units(
                generator, params["generator"], *inputs, layers=layers, method="hidden"
            )

        units = map_rows(some, tokens, labels, rows=rows)
        return {name: hidden[:, 1:] for name, hidden in units.items()}  # positions: start, condition, tokens

    def complete(
        params: Params,
        tokens: Int[Array, "B L"],
        labels: Int[Array, " B"],
        prefix: int,
        noise: Callable[..., Float[Array, "B l V"]] | None = None,
    ) -> Int[Array, "B L"]:
        def noisy(noise: Callable[..., Array], tokens: Array, index: ArrayLike) -> Float[Array, "B V"]:
            return noise(tokens, labels, index, 1, generator_config.vocab_size)[:, 0]

        perturb = None if noise is None else functools.partial(noisy, noise)
        return rar.complete(generator, params["generator"], tokens, labels, prefix, perturb=perturb)

    return DiscreteFunctions(encode, decode, hidden, head, activations, complete)


def _released(generator: ModelVariant) -> Variant:
    tokenizer = maskgit_vq.RELEASED
    size = tokenizer.config.image_size
    pictures = Preprocessing(image_size=size, resize="bicubic", short_side=size, low=0.0, high=1.0)
    return wiring.released(generator, tokenizer, pictures)


VARIANTS: dict[str, Variant] = {name: _released(facts) for name, facts in rar.VARIANTS.items()}
"""The released targets by name."""
