"""What every family does to wire a generator and a tokenizer into a target.

Axes: B batch, N tokens that a layer sees, h and w feature pixels, C channels of a feature.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families.contract import Variant
from jaxaudit.models.forward import forward
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.rows import map_rows
from jaxaudit.targets import Autoencoder, HiddenLayers, Params

Generator = TypeVar("Generator")
Tokenizer = TypeVar("Tokenizer")


def read_configs(
    config: Mapping[str, Any], generator: type[Generator], tokenizer: type[Tokenizer]
) -> tuple[Generator, Tokenizer]:
    """The two configs in {"generator": {...}, "tokenizer": {...}}, of the classes given.

    Raises:
      InputError: if a name is no field of its class, with the nearest, or the class rejects a value.
    """
    return from_dict(generator, config["generator"]), from_dict(tokenizer, config["tokenizer"])


def check_agreement(*facts: tuple[str, Any, str, Any]) -> None:
    """Raises InputError where generator and tokenizer differ.

    Args:
      facts: what the generator calls it, and its value; what the tokenizer calls it, and its value.
    """
    for ours, found, theirs, expected in facts:
        if found != expected:
            raise InputError(
                f"The generator has {ours}={found}, its tokenizer {theirs}={expected}; they must agree."
            )


def check_preprocessing(preprocessing: Preprocessing, image_size: int) -> None:
    """Raises InputError if the preprocessing makes pictures of another size than the target reads."""
    if preprocessing.image_size != image_size:
        raise InputError(
            f"Preprocessing makes {preprocessing.image_size} px pictures; the target reads {image_size} px."
        )


def parameter_shapes(module: nn.Module, *inputs: jax.ShapeDtypeStruct | None) -> Params:
    """Shapes and dtypes of a module's parameters, given those of its inputs; nothing is computed."""
    return jax.tree.map(lambda leaf: leaf, _parameter_shapes(module, *inputs))  # dicts of the caller's own


@functools.lru_cache(maxsize=64)
def _parameter_shapes(module: nn.Module, *inputs: jax.ShapeDtypeStruct | None) -> Params:
    """Kept, for many variants have one tokenizer, and to trace it takes a second."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(module.init, key, *inputs)["params"]


def tokenizer_shapes(module: nn.Module, image_size: int) -> Params:
    """Shapes and dtypes of a tokenizer's parameters; its pictures are [1,image_size,image_size,3] float32."""
    return parameter_shapes(module, jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32))


def autoencoder(
    tokenizer: nn.Module, *, encode: str, decode: str, quantise: str | None, low: float, rows: int | None
) -> Autoencoder:
    """What attacks may ask of a tokenizer, whose parameters are `params["tokenizer"]`.

    Args:
      tokenizer: the module.
      encode, decode, quantise: its methods: images -> features, features -> images, features -> quantised
        ones (None: it has none).
      low: the least value of a picture's range, which ends at 1.
      rows: how many rows at a time, see `map_rows`.
    """
    return _autoencoder(tokenizer, encode, decode, quantise, low, rows)


@functools.cache  # equal tokenizers share their functions, hence their compiled programs
def _autoencoder(
    tokenizer: nn.Module, encode: str, decode: str, quantise: str | None, low: float, rows: int | None
) -> Autoencoder:
    def call(method: str) -> Callable[[Params, Array], Array]:
        def function(params: Params, x: Float[Array, "B _ _ _"]) -> Float[Array, "B _ _ _"]:
            some = functools.partial(forward, tokenizer, params["tokenizer"], method=method)
            return map_rows(some, x, rows=rows)

        return function

    picture = call(decode)

    def clamped(params: Params, features: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        return jnp.clip(picture(params, features), low, 1.0)

    return Autoencoder(call(encode), clamped, call(quantise) if quantise else None)


def mlp_layers(blocks: Sequence[str], *, first: str = "mlp/fc1") -> HiddenLayers:
    """The hidden layers of a transformer's blocks: the map into the MLP of each, named for people.

    Args:
      blocks: names of the blocks in the generator, in order; "encoder_blocks_3" makes "encoder block 3".
      first: path of that map in its block.
    """
    return {
        block.replace("blocks", "block").replace("_", " "): ("generator", block, *first.split("/"))
        for block in blocks
    }


def hidden_units(
    module: nn.Module, params: Params, *inputs: Any, layers: HiddenLayers, method: str = "__call__"
) -> dict[str, Float[Array, "B N _"]]:
    """{layer: [B,N,F]}: the hidden units of a generator at work, by the target's hidden layers.

    The module that holds a layer's linear map sows its units once, as ("activations", "hidden").
    """
    _, sown = module.apply({"params": params}, *inputs, method=method, mutable=["activations"])
    shown: Any = sown["activations"]
    return {
        name: functools.reduce(operator.getitem, (*path[1:-1], "hidden"), shown)[0]
        for name, path in layers.items()
    }


def released(generator: ModelVariant, tokenizer: ModelVariant, preprocessing: Preprocessing) -> Variant:
    """A released model with the tokenizer it was trained on."""
    parts = {"generator": generator, "tokenizer": tokenizer}
    return Variant(
        config={part: to_dict(facts.config) for part, facts in parts.items()},
        preprocessing=preprocessing,
        num_params={part: facts.num_params for part, facts in parts.items()},
        sources={part: facts.source for part, facts in parts.items()},
        licence=generator.licence,
    )
