"""The autoencoder that stands between a model and its pictures, whatever the kind of target.

Every picture of such a model came through its decoder.

Axes: B batch, H and W pixels, h and w feature pixels, C channels of a feature.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Pure functions, jittable; each takes the target's `params` first.

    Attributes:
      encode: images [B,H,W,3] float32 in the target's range -> features [B,h,w,C] float32, not quantised.
      decode: features, quantised or not -> images [B,H,W,3] float32 in the target's range, clamped.
      quantise: features -> the features that their tokens stand for; None where latents are continuous.
    """

    encode: Callable[..., Float[Array, "B h w C"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    quantise: Callable[..., Float[Array, "B h w C"]] | None = None
