"""What callers hand over, checked against the target and made into the batch of a step.

Axes: B batch, H and W pixels, h and w latent pixels, L tokens, D channels of a token or of a caption's token,
T tokens of a caption, c channels of a latent, R noises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError
from jaxaudit.targets import (
    Condition,
    Target,
    check_labels,
)
from jaxaudit_kernels import draws


def make_batch(
    target: Target,
    images: Float[np.ndarray, "B H W 3"] | None,
    labels: Condition,
    *,
    latents: Float[np.ndarray, "B ..."] | None = None,
    noise: Float[np.ndarray, "R B h w c"] | Float[np.ndarray, "B h w c"] | None = None,
    null_context: Float[np.ndarray, "T D"] | None = None,
    ids: Sequence[Any] | None = None,
) -> dict[str, np.ndarray]:
    """The batch of `jaxaudit.attacks.step`: every array [B,...].

    Arguments are those of `jaxaudit.attacks.runner.score`.

    Raises:
      InputError: if something is missing, does not belong to the kind of target, or has the wrong shape; or
        if a label is no class.
    """
    batch = _pictures(target, images, latents)
    count = len(next(iter(batch.values())))
    batch |= _condition(target, labels, null_context, count)
    if noise is not None:
        batch["noise"] = _noise(target, np.asarray(noise, np.float32), count)
    ids = range(count) if ids is None else ids
    if len(ids) != count:
        raise InputError(f"{len(ids)} ids do not fit {count} images.")
    batch["ids"] = draws.id_numbers(ids)
    return batch


def _pictures(target: Target, images: np.ndarray | None, latents: np.ndarray | None) -> dict[str, np.ndarray]:
    if (images is None) == (latents is None):
        raise InputError("Give images, or latents in their place.")
    if latents is None:
        size = target.preprocessing.image_size
        if np.ndim(images) != 4 or np.shape(images)[1:] != (size, size, 3):
            raise InputError(f"Images of shape {np.shape(images)} do not fit; expected [B,{size},{size},3].")
        return {"images": np.asarray(images, np.float32)}
    shape = target.latent_shape
    if shape is None:
        raise InputError(f"{target.name} has discrete tokens and no latents; give images.")
    if np.ndim(latents) == 0 or np.shape(latents)[1:] != shape:
        expected = ",".join(map(str, shape))
        raise InputError(f"Latents of shape {np.shape(latents)} do not fit; expected [B,{expected}].")
    return {"latents": np.asarray(latents, np.float32)}


def _condition(
    target: Target, labels: Condition, null_context: np.ndarray | None, count: int
) -> dict[str, np.ndarray]:
    context_shape = target.context_shape
    if null_context is not None and np.shape(null_context) != context_shape:
        raise InputError(
            f"null_context of shape {np.shape(null_context)} does not fit: "
            f"{target.name} {_conditioned_on(target)}."
        )
    if context_shape:
        if np.shape(labels) != (count, *context_shape):
            raise InputError(
                f"{target.name} {_conditioned_on(target)}: labels must be those of {count} captions, "
                f"not of shape {np.shape(labels)}."
            )
        contexts = {"condition": np.asarray(labels, np.float32)}
        if null_context is not None:
            contexts["null"] = np.broadcast_to(np.float32(null_context), contexts["condition"].shape)
        return contexts
    if not target.num_classes:
        if labels is not None:
            raise InputError(f"{target.name} {_conditioned_on(target)}: labels must be None.")
        return {}
    if np.shape(labels) != (count,):
        raise InputError(f"Labels of shape {np.shape(labels)} do not fit {count} images; expected one each.")
    labels = np.asarray(labels, np.int32)
    check_labels(labels, target.num_classes)
    return {"condition": labels}


def _conditioned_on(target: Target) -> str:
    if context_shape := target.context_shape:
        return "is conditioned on embeddings of captions [{},{}]".format(*context_shape)
    return f"is conditioned on {target.num_classes} classes" if target.num_classes else "is unconditional"


def _noise(target: Target, noise: np.ndarray, count: int) -> np.ndarray:
    """[B,R,h,w,c]."""
    if target.kind != "diffusion":
        raise InputError(f"{target.name} is no diffusion model: noise cannot be given.")
    noise = noise[None] if noise.ndim == 4 else noise
    if noise.ndim != 5 or len(noise) == 0 or noise.shape[1:] != (count, *target.latent_shape):
        expected = ",".join(map(str, (count, *target.latent_shape)))
        raise InputError(
            f"Noise of shape {noise.shape} does not fit; expected [{expected}] or [R,{expected}]."
        )
    return np.moveaxis(noise, 0, 1)
