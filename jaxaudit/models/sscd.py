"""SSCD, the descriptor of a picture in which copies of it stay close: ResNet, generalised mean, projection.

    v = ResNet(x)                               bottleneck blocks, stride in their 3×3 convolution      (1)
    g = (mean over pixels of max(v, 1e-6)^p)^{1/p},   p = 3                                             (2)
    descriptor = (W g + b) / ‖W g + b‖                                                                  (3)

Sources: Pizzi et al., "A self-supervised descriptor for image copy detection", CVPR 2022; ResNet: He et al.,
CVPR 2016; groups (ResNeXt): Xie et al., CVPR 2017; (2): Radenović et al., TPAMI 2018, eq. (3).
Parameter paths follow torchvision's keys, list indexes joined by an underscore
(`backbone.layer1.0.conv1.weight` is `backbone/layer1_0/conv1/kernel`).

Axes: B batch, H height, W width, C channels, D dimensions of the descriptor. NHWC.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.convnet import BatchNorm, Conv
from jaxaudit.models.layers import Dense
from jaxaudit.models.variant import ModelVariant

_BATCH_NORM_EPS = 1e-5
_EXPANSION = 4  # channels out of a bottleneck per `width` of its stage


@dataclasses.dataclass(frozen=True)
class SSCDConfig:
    """The shape of the network; the default is ResNet-50.

    Attributes:
      stage_sizes: bottleneck blocks of each stage; stages after the first halve the resolution.
      width: channels of the first convolution; stage i puts out 4 · width · 2^i.
      inner_width: channels inside the blocks of the first stage, doubled from stage to stage.
      groups: of the 3×3 convolutions.
      dim: D.
    """

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    inner_width: int = 64
    groups: int = 1
    dim: int = 512


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions beside a shortcut, which is a 1×1 convolution if the shape changes.

    Attributes:
      inner: channels of the 3×3 convolution.
      features: channels of the result.
      strides: of the 3×3 convolution and the shortcut.
      groups: of the 3×3 convolution.
      dtype: compute dtype.
    """

    inner: int
    features: int
    strides: int
    groups: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """The block's output, in `dtype`."""

        def conv(name: str, features: int, size: int, strides: int = 1, groups: int = 1) -> Conv:
            return Conv(features, (size, size), strides, groups=groups, dtype=self.dtype, name=name)

        def norm(name: str) -> BatchNorm:
            return BatchNorm(_BATCH_NORM_EPS, self.dtype, name=name)

        h = nn.relu(norm("bn1")(conv("conv1", self.inner, 1)(x)))
        h = nn.relu(norm("bn2")(conv("conv2", self.inner, 3, self.strides, self.groups)(h)))
        h = norm("bn3")(conv("conv3", self.features, 1)(h))
        if x.shape[-1] != self.features or self.strides != 1:
            x = norm("downsample_1")(conv("downsample_0", self.features, 1, self.strides)(x))
        return nn.relu(x + h)


class Backbone(nn.Module):
    """(1), (2) and the projection of (3)."""

    config: SSCDConfig
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
        """W g + b, float32."""
        config = self.config
        h = Conv(config.width, (7, 7), 2, dtype=self.dtype, name="conv1")(images)
        h = nn.relu(BatchNorm(_BATCH_NORM_EPS, self.dtype, name="bn1")(h))
        h = jnp.pad(h, ((0, 0), (1, 1), (1, 1), (0, 0)))  # as good as -∞: nothing is below zero here
        h = nn.max_pool(h, (3, 3), strides=(2, 2))
        for stage, blocks in enumerate(config.stage_sizes):
            for block in range(blocks):
                h = Bottleneck(
                    inner=config.inner_width * 2**stage,
                    features=_EXPANSION * config.width * 2**stage,
                    strides=2 if stage > 0 and block == 0 else 1,
                    groups=config.groups,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}_{block}",
                )(h)
        return Dense(config.dim, dtype=self.dtype, name="fc")(generalised_mean(h))


class SSCD(nn.Module):
    """Pictures to descriptors of unit length.

    Attributes:
      config: the shape.
      dtype: compute dtype; (2) and the norm in (3) run in float32.
    """

    config: SSCDConfig
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
        """Descriptors [B,D] float32 of images [B,H,W,3] with ImageNet's mean 0 and deviation 1."""
        projected = Backbone(self.config, self.dtype, name="backbone")(images)
        norm = jnp.sqrt(jnp.square(projected).sum(-1, keepdims=True))
        return projected / jnp.maximum(norm, 1e-12)


def generalised_mean(x: Float[Array, "B H W C"]) -> Float[Array, "B C"]:
    """(2) with p = 3, float32."""
    powers = jnp.maximum(x.astype(jnp.float32), 1e-6) ** 3
    return jnp.cbrt(powers.mean((1, 2)))


def _released(name: str, file: str, config: SSCDConfig, num_params: int) -> ModelVariant:
    url = f"https://dl.fbaipublicfiles.com/sscd-copy-detection/{name}.{file}.pt"
    return ModelVariant(config=config, num_params=num_params, source=url, licence="MIT")


_RESNEXT101 = SSCDConfig(stage_sizes=(3, 4, 23, 3), inner_width=128, groups=32, dim=1024)

VARIANTS: dict[str, ModelVariant] = {
    **{
        f"sscd_{data}_{augmentation}": _released(
            f"sscd_{data}_{augmentation}", "torchvision", SSCDConfig(), 24_557_120
        )
        for data in ("disc", "imagenet")
        for augmentation in ("blur", "advanced", "mixup")
    },
    "sscd_disc_large": _released("sscd_disc_large", "classy", _RESNEXT101, 44_226_880),
}
"""The released networks. Audits use sscd_disc_mixup."""
