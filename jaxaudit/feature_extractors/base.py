"""What a feature extractor is, and the three there are.

Axes: B pictures, H height, W width, D features.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.configs import from_dict
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.models import inception, sscd
from jaxaudit.models.forward import forward
from jaxaudit.models.variant import ModelVariant

Params = Any
Features = Callable[[Params, Float[Array, "B H W 3"]], Float[Array, "B D"]]

_TOLERANCE = 1e-3  # going from one range to another may step over the end by a rounding error
_PIXELS_SIZE, _SSCD_SIZE, _INCEPTION_SIZE = 8, 320, 299
# Mean and standard deviation of ImageNet's training pictures, as torchvision rounds them.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """A fixed function from pictures to features.

    Attributes:
      name: "pixels", or the file it was loaded from.
      kind: "pixels", "sscd" or "inception".
      params: its parameters, a tree of arrays ({} for "pixels").
      features: pure and jittable, (params, images [B,H,W,3] float32 in [0,1]) -> [B,D] float32; brings
        pictures of any size to the size and range that the network was trained on.
      dim: D.
      fingerprint: sha256 (hex) of kind, config and every parameter: extractors with the same one, whatever
        they are called, give the same features.
      provenance: where the weights came from.
    """

    name: str
    kind: str
    params: Params
    features: Features
    dim: int
    fingerprint: str
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, images: Float[Array | np.ndarray, "B H W 3"]) -> Float[Array, "B D"]:
        """Features [B,D] float32 of images [B,H,W,3] float32 in [0,1].

        Raises:
          InputError: if the images have another shape or leave that range.
        """
        pixels = np.asarray(images, np.float32)
        if pixels.ndim != 4 or pixels.shape[-1] != 3 or pixels.size == 0:
            raise InputError(f"Images of shape {pixels.shape} do not fit; expected [B,H,W,3].")
        low, high = pixels.min(), pixels.max()
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise InputError(f"Images have values in {low:g}..{high:g}; extractors take them in 0..1.")
        return self._compiled(self.params, jnp.asarray(pixels))

    @functools.cached_property
    def _compiled(self) -> Features:
        return jax.jit(self.features)


def pixels() -> Extractor:
    """Grey levels (ITU-R BT.601 luma) at 8×8 pixels, in [0,1], row by row: D = 64."""
    return Extractor(
        name="pixels",
        kind="pixels",
        params={},
        features=_pixels,
        dim=_PIXELS_SIZE**2,
        fingerprint=fingerprint("pixels", {"size": _PIXELS_SIZE}, {}),
    )


def build_extractor(
    name: str,
    kind: str,
    config: Mapping[str, Any],
    params: Params,
    provenance: Mapping[str, Any],
    *,
    dtype: DTypeLike = jnp.float32,
) -> Extractor:
    """The extractor of a network with these parameters.

    Args:
      name: what it is called in reports.
      kind: "sscd" or "inception".
      config: the fields of `SSCDConfig` or `InceptionConfig`.
      params: as `abstract_params(kind, config)`.
      provenance: where they came from.
      dtype: compute dtype; features are float32.

    Raises:
      InputError: if there is no such kind, or no such field in its config.
    """
    network = get_network(kind)
    fields = from_dict(network.config, config)
    features = functools.partial(network.features, network.module(fields, jnp.dtype(dtype)))
    return Extractor(name, kind, params, features, fields.dim, fingerprint(kind, config, params), provenance)


def fingerprint(kind: str, config: Mapping[str, Any], params: Params) -> str:
    """sha256 (hex) of kind, config and every parameter."""
    described = {"kind": kind, "config": dict(config)}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for path, leaf in sorted(traverse_util.flatten_dict(params, sep="/").items()):
        tensor = np.ascontiguousarray(leaf)
        digest.update(f"{path} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.view(np.uint8).data)
    return digest.hexdigest()


def abstract_params(kind: str, config: Mapping[str, Any]) -> Params:
    """Shapes and dtypes of the parameters, a tree of `jax.ShapeDtypeStruct`. Raises as `build_extractor`."""
    network = get_network(kind)
    module = network.module(from_dict(network.config, config))
    images = jax.ShapeDtypeStruct((1, 96, 96, 3), jnp.float32)  # the size leaves no trace in the parameters
    return jax.eval_shape(module.init, jax.random.key(0), images)["params"]


@dataclasses.dataclass(frozen=True)
class Network:
    """A kind of extractor that has weights.

    Attributes:
      config: the dataclass of its shape, with D as `dim`.
      module: (config, dtype) -> module.
      features: (module, params, images [B,H,W,3] in [0,1]) -> [B,D].
      variants: its released weights by name.
    """

    config: type
    module: type[nn.Module]
    features: Callable[[nn.Module, Params, Float[Array, "B H W 3"]], Float[Array, "B D"]]
    variants: Mapping[str, ModelVariant]


def get_network(kind: str) -> Network:
    """The network of that kind. Raises InputError if there is none, with the nearest names."""
    if kind not in NETWORKS:
        raise unknown_name("kind of extractor", kind, NETWORKS)
    return NETWORKS[kind]


def _pixels(params: Params, images: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
    del params
    grey = jnp.matmul(images, jnp.float32([0.299, 0.587, 0.114]), precision=jax.lax.Precision.HIGHEST)
    small = jax.image.resize(grey, (len(grey), _PIXELS_SIZE, _PIXELS_SIZE), "linear", antialias=True)
    return small.reshape(len(grey), -1)


def _sscd(module: nn.Module, params: Params, images: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
    """Stretched to a square, whatever the aspect ratio, antialiased where that makes the picture smaller."""
    images = _stretch(images, _SSCD_SIZE, antialias=True)
    mean, std = (jnp.float32(values)[None, None, None] for values in (_IMAGENET_MEAN, _IMAGENET_STD))
    return forward(module, params, (images - mean) / std)


def _inception(module: nn.Module, params: Params, images: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
    """Stretched to a square, never antialiased, as in the published distances."""
    return forward(module, params, 2 * _stretch(images, _INCEPTION_SIZE, antialias=False) - 1)


def _stretch(images: Array, size: int, *, antialias: bool) -> Array:
    shape = (len(images), size, size, images.shape[-1])
    return jax.image.resize(images.astype(jnp.float32), shape, "linear", antialias=antialias)


NETWORKS: dict[str, Network] = {
    "sscd": Network(sscd.SSCDConfig, sscd.SSCD, _sscd, sscd.VARIANTS),
    "inception": Network(inception.InceptionConfig, inception.Inception, _inception, inception.VARIANTS),
}
"""Every kind of extractor with weights."""
