"""What callers hand over, checked against the target and made into the batch of a step.

Axes: B batch, H and W pixels, h and w latent pixels, L tokens, D channels of a token or of a caption's token,
T tokens of a caption, c channels of a latent, R noises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.condition import condition_arrays, condition_spec
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.targets import AnyArray, Given, Target
from jaxaudit_kernels import draws


def make_batch(
    target: Target,
    images: Float[AnyArray, "B H W 3"] | None,
    condition: Given,
    *,
    latents: Float[AnyArray, "B ..."] | None = None,
    noise: Float[AnyArray, "R B h w c"] | Float[AnyArray, "B h w c"] | None = None,
    null_context: Float[AnyArray, "T D"] | None = None,
    ids: Sequence[Any] | np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The batch of `jaxaudit.attacks.step`: every array [B,...].

    Arguments are those of `jaxaudit.attacks.runner.score`.

    Raises:
      InputError: if something is missing, does not belong to the kind of target, or has the wrong shape; or
        if a label is no class.
    """
    batch = _pictures(target, images, latents)
    count = len(next(iter(batch.values())))
    batch |= condition_arrays(target, condition, count, null_context)
    if noise is not None:
        batch["noise"] = _noise(target, np.asarray(noise, np.float32), count)
    ids = range(count) if ids is None else ids
    if len(ids) != count:
        raise InputError(f"{len(ids)} ids do not fit {count} images.")
    batch["ids"] = draws.id_numbers(ids)
    return batch


def batch_spec(target: Target, count: int, *, null_context: bool = False) -> dict[str, jax.ShapeDtypeStruct]:
    """`make_batch` of `count` images, as shapes and dtypes.

    `null_context` says whether the embedding of the empty caption is known.
    """
    size = target.preprocessing.image_size
    return {
        "images": jax.ShapeDtypeStruct((count, size, size, 3), np.float32),
        **condition_spec(target, count, null_context=null_context),
        "ids": jax.ShapeDtypeStruct((count,), np.uint32),
    }


def check_images(images: Any, preprocessing: Preprocessing) -> None:
    """Makes sure that images are in the target's range, as `jaxaudit.data.preprocess` brings them there.

    A range that holds negative numbers holds [0, 1] as well, and pictures scaled to [0, 1] would be scored as
    if they were bright. Bright ones are told from them by their levels: 8 bits in the target's range are
    low + (high − low) k / 255, and of 8 bits in [0, 1] every other value lies half way between these.

    Args:
      images: [B,S,S,3]; other shapes are not looked at.
      preprocessing: the target's.

    Raises:
      InputError: for integers, NaN or infinite values, values out of range, or pictures scaled to [0, 1]
        where the target takes another range.
    """
    values, low, high = np.asarray(images), preprocessing.low, preprocessing.high
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise InputError(
            f"Images of {values.dtype} do not fit: the target takes floats in [{low:g}, {high:g}]. {_PREPARE}"
        )
    if values.ndim != 4 or not values.size:
        return
    values = values.astype(np.float32)
    least, most, slack = float(values.min()), float(values.max()), _SLACK * (high - low)
    if not (math.isfinite(least) and math.isfinite(most)):
        raise InputError("Images hold values that are NaN or infinite.")
    if least < low - slack or most > high + slack:
        raise InputError(
            f"Images hold values from {least:g} to {most:g}; the target takes [{low:g}, {high:g}]. {_PREPARE}"
        )
    if low < 0 <= least and most <= 1 and np.ptp(values, axis=(1, 2, 3)).any():
        levels = (values - low) / (high - low) * 255
        if np.abs(levels - np.rint(levels)).max() > _OFF_LEVEL:
            raise InputError(
                f"Images hold values from {least:g} to {most:g} only, as if scaled to [0, 1]; the target "
                f"takes [{low:g}, {high:g}]. {_PREPARE}"
            )


_SLACK = 1e-3  # of the range, for what rounding adds
_OFF_LEVEL = 0.2  # float16 is off by less than 0.1, pictures in [0, 1] by 0.5
_PREPARE = "jaxaudit.data.preprocess makes them of uint8 pixels."


def _pictures(target: Target, images: AnyArray | None, latents: AnyArray | None) -> dict[str, np.ndarray]:
    if images is not None and latents is None:
        size = target.preprocessing.image_size
        if np.ndim(images) != 4 or np.shape(images)[1:] != (size, size, 3):
            raise InputError(f"Images of shape {np.shape(images)} do not fit; expected [B,{size},{size},3].")
        return {"images": np.asarray(images, np.float32)}
    if images is not None or latents is None:
        raise InputError("Give images, or latents in their place.")
    shape = target.latent_shape
    if shape is None:
        raise InputError(f"{target.name} has discrete tokens and no latents; give images.")
    if np.ndim(latents) == 0 or np.shape(latents)[1:] != shape:
        expected = ",".join(map(str, shape))
        raise InputError(f"Latents of shape {np.shape(latents)} do not fit; expected [B,{expected}].")
    return {"latents": np.asarray(latents, np.float32)}


def _noise(target: Target, noise: np.ndarray, count: int) -> np.ndarray:
    """[B,R,h,w,c]."""
    shape = target.latent_shape
    if target.kind != "diffusion" or shape is None:
        raise InputError(f"{target.name} is no diffusion model: noise cannot be given.")
    noise = noise[None] if noise.ndim == 4 else noise
    if noise.ndim != 5 or len(noise) == 0 or noise.shape[1:] != (count, *shape):
        expected = ",".join(map(str, (count, *shape)))
        raise InputError(
            f"Noise of shape {noise.shape} does not fit; expected [{expected}] or [R,{expected}]."
        )
    return np.moveaxis(noise, 0, 1)
