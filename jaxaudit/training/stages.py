"""What the trainers of the families share: checked sizes, a stage of training, dropped labels, encoding.

Axes: N training images, B batch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from jaxaudit.configs import to_dict
from jaxaudit.data.preprocessing import Preprocessing, Resize
from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, claim
from jaxaudit.runtime.progress import Progress
from jaxaudit.training.loop import LossFunction, Params, Schedule, fit

_TRAINING = Contents("a training run")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A small target and how it is trained.

    Attributes:
      tokenizer, generator: the shapes of the two networks, which must agree; no tokenizer: a model of pixels.
      tokenizer_schedule, generator_schedule: steps, rates and batch sizes of the two stages.
      label_dropout: probability that a label is replaced by the null label while the generator trains.
      process: of a diffusion or flow model, where it is another than its family's.
      resize, low: how the family resizes pictures, and what it maps black to.
    """

    tokenizer: Any = None
    generator: Any
    tokenizer_schedule: Schedule | None = None
    generator_schedule: Schedule
    label_dropout: float = 0.1
    process: Mapping[str, Any] | None = None

    resize: ClassVar[Resize] = "adm"
    low: ClassVar[float] = -1.0

    @property
    def preprocessing(self) -> Preprocessing:
        """Pictures of any size, shorter side to the image size, in [`low`, 1]; exact for that size."""
        size = self.tokenizer.image_size if self.tokenizer else self.generator.latent_size
        return Preprocessing(image_size=size, resize=self.resize, short_side=size, low=self.low, high=1.0)

    @property
    def config(self) -> dict[str, Any]:
        """The config of `jaxaudit.families`, JSON-able."""
        tokenizer = None if self.tokenizer is None else to_dict(self.tokenizer)
        process = {} if self.process is None else {"process": dict(self.process)}
        return {"generator": to_dict(self.generator), "tokenizer": tokenizer, **process}

    @property
    def schedules(self) -> dict[str, Schedule]:
        """The schedules by the name of their stage, in order."""
        both = {"tokenizer": self.tokenizer_schedule, "generator": self.generator_schedule}
        return {stage: schedule for stage, schedule in both.items() if schedule is not None}


def check_sizes(image_size: int, width: int) -> None:
    """Refuses what no small recipe fits.

    Raises:
      InputError: if `image_size` is no power of two from 8, or `width` no multiple of 32.
    """
    if image_size < 8 or image_size & (image_size - 1):
        raise InputError(f"image_size={image_size} is not a power of two from 8.")
    if width % 32 or width < 32:
        raise InputError(f"width={width} is not a multiple of 32.")


def claim_training(
    directory: str | os.PathLike[str], recipe: Recipe, images: np.ndarray, labels: np.ndarray, seed: int
) -> None:
    """Makes `directory` that of this training run, or finds that it is, so that it may go on from there.

    Raises:
      InputError: if it holds another run; the message names every difference.
    """
    parts = {"tokenizer": recipe.tokenizer, "generator": recipe.generator}
    schedules = {name: dataclasses.asdict(schedule) for name, schedule in recipe.schedules.items()}
    for schedule in schedules.values():
        del schedule["checkpoint_every"]
    request = {
        "optax": importlib.metadata.version("optax"),
        "networks": {name: type(part).__name__ for name, part in parts.items() if part is not None},
        "config": recipe.config,
        "schedules": schedules,
        "losses": {
            field.name: getattr(recipe, field.name)
            for field in dataclasses.fields(recipe)
            if isinstance(getattr(recipe, field.name), float)
        },
        "seed": seed,
        "images_sha256": _sha256(images),
        "labels_sha256": _sha256(labels),
    }
    claim(directory, _TRAINING, request)


def _sha256(array: np.ndarray) -> str:
    described = f"{array.dtype} {array.shape}".encode()
    return hashlib.sha256(described + np.ascontiguousarray(array).tobytes()).hexdigest()


def fit_stage(
    stage: str,
    loss_function: LossFunction,
    params: Params,
    data: Mapping[str, np.ndarray],
    schedule: Schedule,
    *,
    directory: str | os.PathLike,
    seed: int,
    progress: Progress,
) -> Params:
    """The parameters after `fit` on rows of `data` (leaves [N, ...]); its state is in `directory`/`stage`."""
    return fit(
        loss_function,
        params,
        lambda rows: {name: values[rows] for name, values in data.items()},
        len(next(iter(data.values()))),
        schedule,
        directory=Path(directory) / stage,
        seed=seed,
        progress=lambda step, metrics: progress(
            step, schedule.steps, f"Training the {stage}", f"loss {metrics['loss']:.3f}"
        ),
    )


def drop_labels(
    key: Key[Array, ""], labels: Int[Array, " B"], probability: float, null_label: int
) -> Int[Array, " B"]:
    """The labels, each replaced by the null label with this probability.

    Without it a model never learns the null label, on which the `diff` view of the attacks rests.
    Source: Ho & Salimans 2022 (arXiv 2207.12598).
    """
    return jnp.where(jax.random.bernoulli(key, probability, labels.shape), null_label, labels)


def encode_all(
    encode: Callable[[Params, Array], Any], params: Params, images: np.ndarray, *, batch_size: int = 64
) -> Any:
    """encode(params, images [B,H,W,3]) of all N images, leaves [N, ...]: once, not once per epoch."""
    encode = jax.jit(encode)
    parts = [
        jax.device_get(encode(params, images[start : start + batch_size]))
        for start in range(0, len(images), batch_size)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
