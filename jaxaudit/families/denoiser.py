"""What the families of latent diffusion and flows share: a network beside an autoencoder, or alone.

A config {"generator": ..., "tokenizer": None} is a model in pixel space: its latents are the images, and its
parameters {"generator": ...}. Images are in [-1, 1] either way.

What the network was trained to undo is the family's process, or a declared one that the config names:
{..., "process": {"name": "linear_flow", "time_of": "data"}} (`jaxaudit_kernels.processes`).

Axes: B batch, H and W pixels, h and w latent pixels, c channels of a latent, N tokens, F hidden units.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jaxaudit.configs import from_dict
from jaxaudit.data.preprocessing import Preprocessing, Resize
from jaxaudit.errors import InputError
from jaxaudit.families import wiring
from jaxaudit.families.captions import text_encoder_shapes
from jaxaudit.families.contract import Variant
from jaxaudit.models.attention_backend import AttentionBackend, AttentionChoice, choose_backend
from jaxaudit.models.forward import forward
from jaxaudit.models.variant import ModelVariant
from jaxaudit.runtime.partition import Rules
from jaxaudit.runtime.rows import map_rows, rows_at_once
from jaxaudit.targets import Condition, DiffusionFunctions, DiffusionTarget, Params
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig
from jaxaudit_kernels.draws import hidden_positions
from jaxaudit_kernels.process import Denoised, Process, denoised, network_input
from jaxaudit_kernels.processes import declared


class NetworkConfig(Protocol):
    """What the configs of these networks have in common.

    Attributes:
      width, num_heads: channels of a token, and the heads that share them.
      num_classes: class labels, 0 for none; the null label comes after the last.
      context_shape: (tokens, channels) of a caption's embedding, None without captions.
      latent_size: h and w.
      latent_channels: c.
      out_channels: of the network: c, or 2 c with a learned variance.
      blocks: names of the blocks, in order.
    """

    width: int
    num_heads: int
    num_classes: int
    context_shape: tuple[int, int] | None
    latent_size: int
    latent_channels: int
    out_channels: int
    blocks: tuple[str, ...]


def always(config: Any) -> bool:
    """True, whatever the config."""
    del config
    return True


@dataclasses.dataclass(frozen=True, eq=False)
class DenoiserFamily:
    """A family of such models.

    Attributes:
      name: of the family.
      config: the network's config class, a dataclass and a `NetworkConfig`.
      network: (config, dtype, attention backend) -> module that maps (x [B,h,w,c], time [B], condition) to
        what the process says that it predicts, and the learned variance, if there is one.
      partition: how its parameters are split.
      process: declares the one the models are trained on, unless their config names another.
      first: path, in a block, of the linear map that makes its hidden units.
      tokenizer: the autoencoder's config class.
      autoencoder: (its config, dtype) -> module with `encode`, `decode` and `reconstruct`, as
        `KLAutoencoder` has them.
      quantise: its method from latents to the codes that it decodes; None without codes.
      has_null_label: whether a model with labels has a null label.
      biased: whether its attention has biases, see `choose_backend`.
      hides_tokens: whether the network was also trained with hidden tokens. It then takes their positions
        [B,M] as a last argument, and its config has `num_tokens` and `num_hidden`, M.
    """

    name: str
    config: type
    network: Callable[..., nn.Module]
    partition: Rules
    process: Mapping[str, Any]
    first: str = "mlp/fc1"
    tokenizer: type = KLAutoencoderConfig
    autoencoder: Callable[..., nn.Module] = KLAutoencoder
    quantise: str | None = None
    has_null_label: Callable[[Any], bool] = always
    biased: bool = False
    hides_tokens: bool = False

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
    ) -> DiffusionTarget:
        """The target with these parameters, {"generator": ..., "tokenizer": ...}.

        `config` holds the fields of the network's config under "generator" and those of the autoencoder's
        under "tokenizer", or None there for a model in pixel space; "process" may declare another process
        than the family's. `dtype` is the compute dtype; parameters keep their own.

        Raises:
          InputError: if the two configs, or the preprocessing, do not fit each other, there is no such
            process, or the attention asked for cannot be used.
        """
        generator, tokenizer = self._configs(config)
        process = self._process(config)
        image_size = tokenizer.image_size if tokenizer else generator.latent_size
        wiring.check_preprocessing(preprocessing, image_size)
        platform = platform or jax.default_backend()
        backend = choose_backend(
            attention,
            platform=platform,
            dtype=dtype,
            head_width=generator.width // generator.num_heads,
            biased=self.biased,
        )
        return DiffusionTarget(
            name=name,
            family=self.name,
            platform=platform,
            params=params,
            functions=_functions(
                self, generator, tokenizer, process, jnp.dtype(dtype), backend, rows_at_once(platform)
            ),
            preprocessing=preprocessing,
            latent_shape=(generator.latent_size, generator.latent_size, generator.latent_channels),
            num_classes=generator.num_classes,
            has_null_label=self.has_null_label(generator),
            context_shape=generator.context_shape,
            process=process,
            hidden_layers=wiring.mlp_layers(generator.blocks, first=self.first),
            autoencoder=wiring.autoencoder(
                self.autoencoder(tokenizer, jnp.dtype(dtype)),
                encode="encode",
                decode="reconstruct",
                quantise=self.quantise,
                low=-1.0,
                rows=rows_at_once(platform),
            )
            if tokenizer
            else None,
            partition=self.partition,
            provenance=provenance,
        )

    def abstract_params(self, config: Mapping[str, Any]) -> Params:
        """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed."""
        generator, tokenizer = self._configs(config)
        self._process(config)
        spec = jax.ShapeDtypeStruct
        size = generator.latent_size
        condition = None
        if generator.num_classes:
            condition = spec((1,), jnp.int32)
        if generator.context_shape:
            condition = spec((1, *generator.context_shape), jnp.float32)
        latents, time = spec((1, size, size, generator.latent_channels), jnp.float32), spec((1,), jnp.int32)
        shapes = {"generator": wiring.parameter_shapes(self.network(generator), latents, time, condition)}
        if tokenizer:
            shapes["tokenizer"] = wiring.tokenizer_shapes(self.autoencoder(tokenizer), tokenizer.image_size)
        return shapes | text_encoder_shapes(config, generator.context_shape)

    def released(
        self,
        facts: ModelVariant,
        autoencoder: ModelVariant,
        *,
        scale: float,
        resize: Resize = "adm",
        process: Mapping[str, Any] | None = None,
    ) -> Variant:
        """A released model with the autoencoder it was trained on.

        `scale` brings that autoencoder's latents to the size the model knows; pictures are resized by
        `resize` to the model's size and mapped to [-1, 1]. `process` declares another than the family's.
        """
        ratio = autoencoder.config.image_size // autoencoder.config.latent_size
        size = facts.config.latent_size * ratio
        config = dataclasses.replace(autoencoder.config, image_size=size, scale=scale)
        pictures = Preprocessing(image_size=size, resize=resize, short_side=size, low=-1.0, high=1.0)
        variant = wiring.released(facts, dataclasses.replace(autoencoder, config=config), pictures)
        if process is None:
            return variant
        return dataclasses.replace(variant, config={**variant.config, "process": dict(process)})

    def _process(self, config: Mapping[str, Any]) -> Process:
        try:
            return declared(config.get("process", self.process))
        except ValueError as error:
            raise InputError(str(error)) from error

    def _configs(self, config: Mapping[str, Any]) -> tuple[Any, Any]:
        generator = from_dict(self.config, config["generator"])
        if config["tokenizer"] is None:
            if generator.latent_channels != 3:
                raise InputError(
                    f"A generator without a tokenizer reads pictures: latent_channels must be 3, not "
                    f"{generator.latent_channels}."
                )
            return generator, None
        tokenizer = from_dict(self.tokenizer, config["tokenizer"])
        wiring.check_agreement(
            ("latent_channels", generator.latent_channels, "latent_channels", tokenizer.latent_channels),
            ("latent_size", generator.latent_size, "latent_size", tokenizer.latent_size),
        )
        return generator, tokenizer


@functools.cache  # equal configs share their functions, hence their compiled programs
def _functions(
    family: DenoiserFamily,
    generator: Any,
    tokenizer: Any,
    process: Process,
    dtype: np.dtype,
    backend: AttentionBackend,
    rows: int | None,
) -> DiffusionFunctions:
    denoiser = family.network(generator, dtype, backend)
    autoencoder = family.autoencoder(tokenizer, dtype) if tokenizer else None

    def encode(
        params: Params, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B h w c"]:
        if autoencoder is None:
            return images.astype(jnp.float32)

        some = functools.partial(forward, autoencoder, params["tokenizer"], method="encode")
        return map_rows(some, images, *(() if key is None else (key,)), rows=rows)

    def decode(params: Params, latents: Float[Array, "B h w c"]) -> Float[Array, "B H W 3"]:
        if autoencoder is None:
            return jnp.clip(latents.astype(jnp.float32), -1, 1)

        some = functools.partial(forward, autoencoder, params["tokenizer"], method="decode")
        return map_rows(some, latents, rows=rows)

    def reconstruct(params: Params, latents: Float[Array, "B h w c"]) -> Float[Array, "B H W 3"]:
        assert autoencoder is not None  # models of pixels are not given this function
        some = functools.partial(forward, autoencoder, params["tokenizer"], method="reconstruct")
        return map_rows(some, latents, rows=rows)

    def over_rows(
        function: Callable[..., Any], z_t: Array, level: Array, condition: Any, *more: Array
    ) -> Any:
        """function(what the network reads, what it is told, condition, more), some rows at a time."""
        x, time = network_input(process, z_t, jnp.broadcast_to(level, z_t.shape[:1]))
        return map_rows(function, x, time, *(() if condition is None else (condition,)), *more, rows=rows)

    def denoise(
        params: Params, z_t: Float[Array, "B h w c"], level: Int[Array, "..."], condition: Condition
    ) -> Denoised:
        some = functools.partial(forward, denoiser, params["generator"])
        return denoised(process, over_rows(some, z_t, level, condition), z_t, level)

    def denoise_masked(
        params: Params,
        z_t: Float[Array, "B h w c"],
        level: Int[Array, "..."],
        condition: Condition,
        key: Key[Array, " B"],
    ) -> Denoised:
        hidden = hidden_positions(key, generator.num_tokens, generator.num_hidden)
        some = functools.partial(forward, denoiser, params["generator"])
        return denoised(process, over_rows(some, z_t, level, condition, hidden), z_t, level)

    def activations(
        params: Params, z_t: Float[Array, "B h w c"], level: Int[Array, "..."], condition: Condition
    ) -> dict[str, Float[Array, "B _ _"]]:
        layers = wiring.mlp_layers(generator.blocks, first=family.first)
        some = functools.partial(wiring.hidden_units, denoiser, params["generator"], layers=layers)
        return over_rows(some, z_t, level, condition)

    return DiffusionFunctions(
        encode,
        decode,
        denoise,
        activations,
        denoise_masked if family.hides_tokens else None,
        reconstruct if autoencoder else None,
    )
