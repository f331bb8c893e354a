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
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families.noise import configured
from jaxaudit.families.variant import Variant
from jaxaudit.models import rar
from jaxaudit.models.variant import ModelVariant
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget, Params
from jaxaudit.tokenizers import maskgit_vq


def build_target(
    name: str,
    config: Mapping[str, Any],
    params: Params,
    preprocessing: Preprocessing,
    provenance: Mapping[str, Any],
    *,
    dtype: DTypeLike = jnp.float32,
) -> DiscreteTarget:
    """The target with these parameters, {"generator": ..., "tokenizer": ...}.

    `config` holds the fields of `RARConfig` under "generator" and those of `MaskGITVQConfig` under
    "tokenizer"; "output_noise" is described in `jaxaudit.families.noise`. `dtype` is the compute dtype;
    parameters keep their own. Row n of its activations is the position that predicts token n.

    Raises:
      InputError: if the two configs, or the preprocessing, do not fit each other.
    """
    generator, tokenizer = _configs(config)
    if preprocessing.image_size != tokenizer.image_size:
        raise InputError(
            f"Preprocessing makes {preprocessing.image_size} px pictures; "
            f"the tokenizer reads {tokenizer.image_size} px."
        )
    target = DiscreteTarget(
        name=name,
        family="rar",
        params=params,
        functions=_functions(generator, tokenizer, jnp.dtype(dtype)),
        preprocessing=preprocessing,
        num_classes=generator.num_classes,
        vocab_size=generator.vocab_size,
        steps=(1,) * generator.num_tokens,
        provenance=provenance,
    )
    return configured(target, config)


def hidden_layers(params: Params) -> tuple[tuple[str, ...], ...]:
    """The path of the linear map before each MLP's GELU, in the order of `activations`."""
    depth = sum(name.startswith("blocks_") for name in params["generator"])
    return tuple(("generator", f"blocks_{i}", "mlp", "fc1") for i in range(depth))


def abstract_params(config: Mapping[str, Any]) -> Params:
    """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed."""
    generator, tokenizer = _configs(config)
    spec = jax.ShapeDtypeStruct
    tokens, labels = spec((1, generator.num_tokens), jnp.int32), spec((1,), jnp.int32)
    images = spec((1, tokenizer.image_size, tokenizer.image_size, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    trees = {
        "generator": jax.eval_shape(rar.RAR(generator).init, key, tokens, labels),
        "tokenizer": jax.eval_shape(maskgit_vq.MaskGITVQ(tokenizer).init, key, images),
    }
    return {part: tree["params"] for part, tree in trees.items()}


def _configs(config: Mapping[str, Any]) -> tuple[rar.RARConfig, maskgit_vq.MaskGITVQConfig]:
    generator = from_dict(rar.RARConfig, config["generator"])
    tokenizer = from_dict(maskgit_vq.MaskGITVQConfig, config["tokenizer"])
    for field in ("vocab_size", "num_tokens"):
        expected, found = getattr(tokenizer, field), getattr(generator, field)
        if expected != found:
            raise InputError(
                f"The generator has {field}={found}, its tokenizer {field}={expected}; they must agree."
            )
    return generator, tokenizer


@functools.cache  # equal configs share their functions, hence their compiled programs
def _functions(
    generator_config: rar.RARConfig, tokenizer_config: maskgit_vq.MaskGITVQConfig, dtype: np.dtype
) -> DiscreteFunctions:
    generator = rar.RAR(generator_config, dtype)
    tokenizer = maskgit_vq.MaskGITVQ(tokenizer_config, dtype)

    def encode(params: Params, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        return tokenizer.apply({"params": params["tokenizer"]}, images, method="encode")

    def decode(params: Params, tokens: Int[Array, "B L"]) -> Float[Array, "B H W 3"]:
        return tokenizer.apply({"params": params["tokenizer"]}, tokens, method="decode")

    # The last token predicts nothing, so it is not read.
    def hidden(params: Params, tokens: Int[Array, "B L"], labels: Int[Array, " B"]) -> Float[Array, "B L C"]:
        return generator.apply({"params": params["generator"]}, tokens[:, :-1], labels, method="hidden")

    def head(params: Params) -> tuple[Float[Array, "C V"], Float[Array, " V"]]:
        linear = params["generator"]["lm_head"]
        return linear["kernel"].astype(dtype), linear["bias"].astype(jnp.float32)

    def activations(
        params: Params, tokens: Int[Array, "B L"], labels: Int[Array, " B"]
    ) -> dict[int, Float[Array, "B L F"]]:
        variables = {"params": params["generator"]}
        _, sown = generator.apply(variables, tokens[:, :-1], labels, method="hidden", mutable=["activations"])
        blocks = sown["activations"]  # positions: start, condition, tokens
        return {i: blocks[f"blocks_{i}"]["mlp"]["hidden"][0][:, 1:] for i in range(generator_config.depth)}

    def complete(
        params: Params,
        tokens: Int[Array, "B L"],
        labels: Int[Array, " B"],
        prefix: int,
        noise: Callable[..., Float[Array, "B l V"]] | None = None,
    ) -> Int[Array, "B L"]:
        def perturb(tokens: Array, index: Array) -> Array:
            return noise(tokens, labels, index, 1, generator_config.vocab_size)[:, 0]

        return rar.complete(
            generator, params["generator"], tokens, labels, prefix, perturb=perturb if noise else None
        )

    return DiscreteFunctions(encode, decode, hidden, head, activations, complete)


def _released(facts: ModelVariant) -> Variant:
    tokenizer = maskgit_vq.RELEASED
    size = tokenizer.config.image_size
    return Variant(
        config={"generator": to_dict(facts.config), "tokenizer": to_dict(tokenizer.config)},
        preprocessing=Preprocessing(image_size=size, resize="bicubic", short_side=size, low=0.0, high=1.0),
        num_params={"generator": facts.num_params, "tokenizer": tokenizer.num_params},
        sources={"generator": facts.source, "tokenizer": tokenizer.source},
        licence=facts.licence,
    )


VARIANTS: dict[str, Variant] = {name: _released(facts) for name, facts in rar.VARIANTS.items()}
"""The released targets by name."""
