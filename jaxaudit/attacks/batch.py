"""What callers hand over, checked against the target and made into the batch of a step.

Axes: B batch, H and W pixels, h and w latent pixels, L tokens, D channels of a token or of a caption's token,
T tokens of a caption, c channels of a latent, R noises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxaudit.attacks.condition import condition_arrays
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
