"""Low-rank changes of a network's weights (LoRA), merged into them.

    W ← W + scale · (α / r) · B A                                                             (1)

A is "down" [r,I] and B "up" [O,r] of a linear layer; of a convolution A is [r,I,H,W] and B [O,r,1,1], which
is the same with I H W in the place of I. α is r where the file does not say it.
Source: Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022 (arXiv 2106.09685), §4.1.

Axes: r rank, O output features, I input features, H W kernel height and width.
"""

from __future__ import annotations

import functools
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints_convert.lora_keys import place
from checkpoints_convert.mapping import diff
from checkpoints_convert.reading import metadata, read, unwrap
from checkpoints_convert.records import StateDict
from checkpoints_convert.stored import StoredArray
from jaxaudit.errors import InputError

_TEXT_ENCODER = "text_encoder"


def merge_lora(
    states: Mapping[str, StateDict], path: str | Path, *, denoiser: str, scale: float = 1.0
) -> dict[str, dict[str, Any]]:
    """The weights with the changes of a file added (1), in float32, when they are asked for.

    Args:
      states: {component: {key: array}}; the text encoder's component is "text_encoder".
      path: a file in kohya's or diffusers' layout.
      denoiser: the component of the layers that are not the text encoder's.
      scale: of (1).

    Raises:
      InputError: if the file cannot be read, holds no changes or asks for others than (1); for unknown keys
        and layers, layers that are named twice, halves without the other and wrong shapes, all of them in one
        message.
    """
    if not math.isfinite(scale):
        raise InputError(f"A LoRA cannot be scaled by {scale}; give a finite number.")
    content = unwrap(read(path), "")
    alphas = _alphas(path, denoiser)
    layers = {
        (component, key.removesuffix(".weight").replace(".", "_")): key
        for component, state in states.items()
        for key in state
        if key.endswith(".weight")
    }
    merged: dict[str, dict[str, Any]] = {component: dict(state) for component, state in states.items()}
    problems: dict[str, list[tuple[str, str]]] = defaultdict(list)
    changes: dict[tuple[str, str], dict[str, StoredArray]] = defaultdict(dict)
    for key, tensor in content.items():
        found = place(key)
        component = _TEXT_ENCODER if found and found.text else denoiser
        if found is None or (component, found.layer) not in layers:
            problems["tensors of no layer of the model"].append((key, str(list(tensor.shape))))
            continue
        halves = changes[component, layers[component, found.layer]]
        if found.half in halves:
            problems["tensors of a layer that is named twice"].append((key, str(list(tensor.shape))))
        halves[found.half] = tensor
    for (component, key), halves in changes.items():
        weight = merged[component][key]
        if not {"down", "up"} <= set(halves):
            problems["layers with one half of a change"].append(
                (f"{component}.{key}", f"only {', '.join(halves)}")
            )
        elif not _fit(weight.shape, **{half: tensor.shape for half, tensor in halves.items()}):
            shapes = f"{[list(tensor.shape) for tensor in halves.values()]}, not of {list(weight.shape)}"
            problems["layers with a change of the wrong shape"].append((f"{component}.{key}", shapes))
        else:
            read_changed = functools.partial(_changed, weight, halves, scale, alphas.get(component))
            merged[component][key] = StoredArray(tuple(weight.shape), np.dtype(np.float32), read_changed)
    if problems:
        raise InputError(f"{path} does not fit the model:", diff(problems))
    if not changes:
        raise InputError(f"{path} holds no LoRA: it has no tensors.")
    return merged


def _fit(
    weight: tuple[int, ...], *, down: tuple[int, ...], up: tuple[int, ...], alpha: tuple[int, ...] = ()
) -> bool:
    """Whether B A has as many rows and columns as W, and α is one number."""
    if min(len(weight), len(down), len(up)) < 2 or math.prod(alpha) != 1:
        return False
    columns, rank = math.prod(weight[1:]), down[0]
    sizes = (math.prod(down), math.prod(up))
    return rank > 0 and up[1] == rank and sizes == (rank * columns, rank * weight[0])


def _changed(weight: Any, halves: Mapping[str, StoredArray], scale: float, alpha: float | None) -> np.ndarray:
    """(1), float32 [O,I] or [O,I,H,W]."""
    down, up = (np.asarray(halves[name], np.float32) for name in ("down", "up"))
    rank = len(down)
    if "alpha" in halves:
        alpha = float(np.asarray(halves["alpha"], np.float32).reshape(()))
    factor = scale * (alpha if alpha is not None else rank) / rank
    change = up.reshape(-1, rank) @ down.reshape(rank, -1)
    return np.asarray(weight, np.float32) + np.float32(factor) * change.reshape(weight.shape)


def _alphas(path: str | Path, denoiser: str) -> dict[str, float]:
    """{component: α} of the layers that have none of their own, from what diffusers writes beside them."""
    told = metadata(path).get("lora_adapter_metadata")
    if told is None:
        return {}
    try:
        settings = dict(json.loads(told))
        alphas = {}
        places = {"unet": denoiser, "transformer": denoiser, _TEXT_ENCODER: _TEXT_ENCODER}
        for name, component in places.items():
            for setting in ("use_dora", "use_rslora", "alpha_pattern"):
                if settings.get(f"{name}.{setting}"):
                    raise InputError(f"{path} has {setting} of its {name}, which is not known here.")
            if (alpha := settings.get(f"{name}.lora_alpha")) is not None:
                alphas[component] = float(alpha)
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"What {path} says of itself is damaged: {told[:60]!r}.") from error
    return alphas
