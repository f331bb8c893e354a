"""Inception v3 as ported for the Fréchet inception distance: pictures to 2,048 pooled features.

The network of Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, with
the weights of TensorFlow's release of 2015-12-05, on which Heusel et al., "GANs trained by a two time-scale
update rule converge to a local Nash equilibrium", NeurIPS 2017, define the distance. Two things set it apart
from later releases: average pools leave the zeros of the padding out of the mean, and the last block pools
by the maximum. Parameter paths follow torchvision's keys (`Mixed_5b.branch1x1.conv.weight` is
`Mixed_5b/branch1x1/conv/kernel`); its classifier is left out.

Axes: B batch, H height, W width, C channels. NHWC.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.convnet import BatchNorm, Conv
from jaxaudit.models.variant import ModelVariant

_BATCH_NORM_EPS = 1e-3
_VALID = (0, 0)


@dataclasses.dataclass(frozen=True)
class InceptionConfig:
    """No choices: the network has one shape. `dim` is the number of its features."""

    dim: ClassVar[int] = 2048


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, ReLU; the attributes are those of `Conv`."""

    features: int
    kernel_size: tuple[int, int] = (1, 1)
    strides: int = 1
    padding: tuple[int, int] | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """The activations, in `dtype`."""
        x = Conv(self.features, self.kernel_size, self.strides, self.padding, dtype=self.dtype, name="conv")(
            x
        )
        return nn.relu(BatchNorm(_BATCH_NORM_EPS, self.dtype, name="bn")(x))


class _Block(nn.Module):
    """What the blocks share: chains of convolutions named NAME_1, NAME_2, ..."""

    dtype: DTypeLike

    def chain(self, x: Array, name: str, *layers: tuple[int, tuple[int, int]], halve: bool = False) -> Array:
        """(features, kernel size) after each other; with `halve` the last has stride 2 and no padding."""
        for i, (features, kernel_size) in enumerate(layers, start=1):
            last = {"strides": 2, "padding": _VALID} if halve and i == len(layers) else {}
            x = ConvNorm(features, kernel_size, **last, dtype=self.dtype, name=f"{name}_{i}")(x)
        return x

    def single(self, x: Array, name: str, features: int) -> Array:
        """One 1×1 convolution."""
        return ConvNorm(features, dtype=self.dtype, name=name)(x)


class BlockA(_Block):
    """1×1, 5×5, two 3×3, and pooled branches at the same resolution."""

    pool_features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W F"]:
        """The branches side by side."""
        branches = (
            self.single(x, "branch1x1", 64),
            self.chain(x, "branch5x5", (48, (1, 1)), (64, (5, 5))),
            self.chain(x, "branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
            self.single(_pool(x, "mean"), "branch_pool", self.pool_features),
        )
        return jnp.concatenate(branches, -1)


class BlockB(_Block):
    """Halves the resolution."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """The branches side by side."""
        branches = (
            ConvNorm(384, (3, 3), 2, _VALID, dtype=self.dtype, name="branch3x3")(x),
            self.chain(x, "branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3)), halve=True),
            _halving_pool(x),
        )
        return jnp.concatenate(branches, -1)


class BlockC(_Block):
    """1×1, 7×7 and two 7×7 as products of 1×7 and 7×1, and pooled branches at the same resolution."""

    inner: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W F"]:
        """The branches side by side."""
        c, across, down = self.inner, (1, 7), (7, 1)
        twice = ((c, (1, 1)), (c, down), (c, across), (c, down), (192, across))
        branches = (
            self.single(x, "branch1x1", 192),
            self.chain(x, "branch7x7", (c, (1, 1)), (c, across), (192, down)),
            self.chain(x, "branch7x7dbl", *twice),
            self.single(_pool(x, "mean"), "branch_pool", 192),
        )
        return jnp.concatenate(branches, -1)


class BlockD(_Block):
    """Halves the resolution, the second time."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """The branches side by side."""
        seven = ((192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3)))
        branches = (
            self.chain(x, "branch3x3", (192, (1, 1)), (320, (3, 3)), halve=True),
            self.chain(x, "branch7x7x3", *seven, halve=True),
            _halving_pool(x),
        )
        return jnp.concatenate(branches, -1)


class BlockE(_Block):
    """1×1, 3×3 and two 3×3 fanned out into 1×3 and 3×1, and pooled branches."""

    pool: Literal["mean", "max"]

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W 2048"]:
        """The branches side by side."""
        three = self.chain(x, "branch3x3", (384, (1, 1)))
        double = self.chain(x, "branch3x3dbl", (448, (1, 1)), (384, (3, 3)))
        branches = (
            self.single(x, "branch1x1", 320),
            *self._fan(three, "branch3x3_2"),
            *self._fan(double, "branch3x3dbl_3"),
            self.single(_pool(x, self.pool), "branch_pool", 192),
        )
        return jnp.concatenate(branches, -1)

    def _fan(self, x: Array, name: str) -> tuple[Array, Array]:
        across = ConvNorm(384, (1, 3), dtype=self.dtype, name=f"{name}a")(x)
        return across, ConvNorm(384, (3, 1), dtype=self.dtype, name=f"{name}b")(x)


class Inception(nn.Module):
    """Pictures to the 2,048 features before the classifier.

    Attributes:
      config: empty.
      dtype: compute dtype; the last mean runs in float32.
    """

    config: InceptionConfig = InceptionConfig()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B 2048"]:
        """Features [B,2048] float32 of images [B,H,W,3] in [-1,1], H and W at least 75 (as released: 299)."""
        dtype = self.dtype
        x = ConvNorm(32, (3, 3), 2, _VALID, dtype, name="Conv2d_1a_3x3")(images)
        x = ConvNorm(32, (3, 3), 1, _VALID, dtype, name="Conv2d_2a_3x3")(x)
        x = ConvNorm(64, (3, 3), dtype=dtype, name="Conv2d_2b_3x3")(x)
        x = _halving_pool(x)
        x = ConvNorm(80, dtype=dtype, name="Conv2d_3b_1x1")(x)
        x = ConvNorm(192, (3, 3), 1, _VALID, dtype, name="Conv2d_4a_3x3")(x)
        x = _halving_pool(x)
        for letter, pool_features in zip("bcd", (32, 64, 64), strict=True):
            x = BlockA(dtype, pool_features, name=f"Mixed_5{letter}")(x)
        x = BlockB(dtype, name="Mixed_6a")(x)
        for letter, inner in zip("bcde", (128, 160, 160, 192), strict=True):
            x = BlockC(dtype, inner, name=f"Mixed_6{letter}")(x)
        x = BlockD(dtype, name="Mixed_7a")(x)
        x = BlockE(dtype, "mean", name="Mixed_7b")(x)
        x = BlockE(dtype, "max", name="Mixed_7c")(x)
        return x.astype(jnp.float32).mean((1, 2))


def _pool(x: Float[Array, "B H W C"], kind: Literal["mean", "max"]) -> Float[Array, "B H W C"]:
    """Over 3×3 neighbours; those beyond the border do not count."""
    if kind == "max":
        return nn.max_pool(x, (3, 3), padding="SAME")
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _halving_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    return nn.max_pool(x, (3, 3), strides=(2, 2))


VARIANTS: dict[str, ModelVariant] = {
    "inception_2015_12_05": ModelVariant(
        config=InceptionConfig(),
        num_params=21_785_568,
        source="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        licence="Apache-2.0",
    )
}
"""The released weights."""
