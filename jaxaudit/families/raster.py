"""What families share whose transformer reads the tokens of one codebook in raster order.

Axes: B batch, H and W pixels, L tokens, C width, V vocabulary, F hidden units of an MLP.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.data.preprocessing import Preprocessing, Resize
from jaxaudit.families import wiring
from jaxaudit.families.contract import Variant
from jaxaudit.families.noise import configured
from jaxaudit.models import greedy
from jaxaudit.models.attention_backend import AttentionBackend, AttentionChoice, choose_backend
from jaxaudit.models.forward import forward
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.partition import Rules
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget, HiddenLayers, Params
from jaxaudit_kernels.sampling_law import GuidanceSchedule


@runtime_checkable
class NetworkConfig(Protocol):
    """What the configs of these transformers have in common.

    Attributes:
      width, num_heads: channels of a token, and the heads that share them.
      num_classes: class labels; the null label comes after the last.
      vocab_size: V.
      num_tokens: L.
    """

    width: int
    num_heads: int
    num_classes: int
    vocab_size: int
    num_tokens: int


@runtime_checkable
class TokenizerConfig(Protocol):
    """What the configs of their tokenizers have in common.

    Attributes:
      vocab_size: V.
      num_tokens: L.
      image_size: height and width of the pictures, pixels.
    """

    vocab_size: int
    num_tokens: int
    image_size: int


@dataclasses.dataclass(frozen=True, eq=False)
class RasterFamily:
    """A family of such models.

    Attributes:
      name: of the family.
      configs: the config classes of transformer and tokenizer, dataclasses, a `NetworkConfig` and a
        `TokenizerConfig`.
      network: (config, dtype, attention backend) -> module with `hidden` and what `greedy.complete` asks for.
      tokenizer: (config, dtype) -> module with `encode` and `decode`.
      head: name of the transformer's last linear map, with or without bias.
      guidance_schedule: how guidance grows over the tokens when it is sampled.
      hidden_layers: transformer's config -> the target's hidden layers.
      partition: how the parameters are split.
      low: the least value of a picture's range, which ends at 1.
      features: the tokenizer's method from images to what it quantises.
    """

    name: str
    configs: tuple[type, type]
    network: Callable[..., nn.Module]
    tokenizer: Callable[..., nn.Module]
    head: str
    guidance_schedule: GuidanceSchedule
    hidden_layers: Callable[[Any], HiddenLayers]
    partition: Rules
    low: float = -1.0
    features: str = "features"

    def build_target(
        self,
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

        `config` holds the fields of the transformer's config under "generator" and those of the tokenizer's
        under "tokenizer"; "output_noise" is described in `jaxaudit.families.noise`. `dtype` is the compute
        dtype; parameters keep their own. Row n of its activations is the position that predicts token n.

        Raises:
          InputError: if the two configs, or the preprocessing, do not fit each other, or the attention asked
            for cannot be used.
        """
        generator, tokenizer = self._configs(config)
        wiring.check_preprocessing(preprocessing, tokenizer.image_size)
        platform = platform or jax.default_backend()
        backend = choose_backend(
            attention, platform=platform, dtype=dtype, head_width=generator.width // generator.num_heads
        )
        target = DiscreteTarget(
            name=name,
            family=self.name,
            platform=platform,
            params=params,
            functions=_functions(
                self, generator, tokenizer, jnp.dtype(dtype), backend, rows_at_once(platform)
            ),
            preprocessing=preprocessing,
            num_classes=generator.num_classes,
            vocab_size=generator.vocab_size,
            guidance_schedule=self.guidance_schedule,
            tokens_per_step=(1,) * generator.num_tokens,
            hidden_layers=self.hidden_layers(generator),
            autoencoder=wiring.autoencoder(
                self.tokenizer(tokenizer, jnp.dtype(dtype)),
                encode=self.features,
                decode="decode_features",
                quantise="quantized",
                low=self.low,
                rows=rows_at_once(platform),
            ),
            partition=self.partition,
            provenance=provenance,
        )
        return configured(target, config)

    def abstract_params(self, config: Mapping[str, Any]) -> Params:
        """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed."""
        generator, tokenizer = self._configs(config)
        spec = jax.ShapeDtypeStruct
        tokens, labels = spec((1, generator.num_tokens), jnp.int32), spec((1,), jnp.int32)
        return {
            "generator": wiring.parameter_shapes(self.network(generator), tokens, labels),
            "tokenizer": wiring.tokenizer_shapes(self.tokenizer(tokenizer), tokenizer.image_size),
        }

    def released(self, generator: ModelVariant, tokenizer: ModelVariant, *, resize: Resize) -> Variant:
        """A released model with the tokenizer it was trained on, at the size of its pictures.

        Pictures are resized by `resize` to that size and mapped to the range [low, 1].
        """
        side = math.isqrt(generator.config.num_tokens)
        config = dataclasses.replace(tokenizer.config, side=side)
        size = config.image_size
        pictures = Preprocessing(image_size=size, resize=resize, short_side=size, low=self.low, high=1.0)
        return wiring.released(generator, dataclasses.replace(tokenizer, config=config), pictures)

    def _configs(self, config: Mapping[str, Any]) -> tuple[Any, Any]:
        generator, tokenizer = wiring.read_configs(config, *self.configs)
        wiring.check_agreement(
            ("vocab_size", generator.vocab_size, "vocab_size", tokenizer.vocab_size),
            ("num_tokens", generator.num_tokens, "num_tokens", tokenizer.num_tokens),
        )
        return generator, tokenizer


@functools.cache  # equal configs share their functions, hence their compiled programs
def _functions(
    family: RasterFamily,
    generator_config: NetworkConfig,
    tokenizer_config: TokenizerConfig,
    dtype: np.dtype,
    backend: AttentionBackend,
    rows: int | None,
) -> DiscreteFunctions:
    generator = family.network(generator_config, dtype, backend)
    tokenizer = family.tokenizer(tokenizer_config, dtype)

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
        linear = params["generator"][family.head]
        bias = linear.get("bias", jnp.zeros(generator_config.vocab_size))
        return linear["kernel"].astype(dtype), bias.astype(jnp.float32)

    def activations(
        params: Params, tokens: Int[Array, "B L"], labels: Int[Array, " B"]
    ) -> dict[str, Float[Array, "B L _"]]:
        def some(tokens: Array, labels: Array) -> dict[str, Array]:
            inputs, layers = (tokens[:, :-1], labels), family.hidden_layers(generator_config)
            return wiring.hidden_units(
                generator, params["generator"], *inputs, layers=layers, method="hidden"
            )

        units = map_rows(some, tokens, labels, rows=rows)
        return {name: hidden[:, -tokens.shape[1] :] for name, hidden in units.items()}  # RAR: not its start

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
        return greedy.complete(generator, params["generator"], tokens, labels, prefix, perturb=perturb)

    return DiscreteFunctions(encode, decode, hidden, head, activations, complete)
