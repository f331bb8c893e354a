"""What the trainers of the families share: checked sizes, a stage of training, dropped conditions, encoding.

Axes: N training images, M images held out, B batch, T tokens and D channels of a caption's embedding.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Key, Shaped

from jaxaudit.configs import to_dict
from jaxaudit.data.preprocessing import Preprocessing, Resize
from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, claim
from jaxaudit.runtime.progress import Progress
from jaxaudit.training.loop import Examples, LossFunction, Params, Schedule, fit
from jaxaudit.training.private import Privacy

_TRAINING = Contents("a training run")


@dataclasses.dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures, and what the model is told about them.

    Attributes:
      images: in the range of the target's preprocessing.
      conditions: classes 0 .. num_classes - 1, or embeddings of captions.
      null: the embedding of the empty caption; None for classes, whose null label the model knows.
    """

    images: Float32[np.ndarray, "N H W 3"]
    conditions: Int32[np.ndarray, " N"] | Float32[np.ndarray, "N T D"]
    null: Float32[np.ndarray, "T D"] | None = None

    def joined(self, others: PictureSet, rows: Sequence[int]) -> PictureSet:
        """These pictures and, after them, these rows of others that are told the same kind of thing."""
        taken = np.asarray(rows, np.int64)
        images = np.concatenate([self.images, others.images[taken]])
        return PictureSet(images, np.concatenate([self.conditions, others.conditions[taken]]), self.null)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A small target and how it is trained.

    Attributes:
      tokenizer, generator: the shapes of the two networks, which must agree; no tokenizer: a model of pixels.
      tokenizer_schedule, generator_schedule: steps, rates and batch sizes of the two stages.
      label_dropout: probability that a label is replaced by the null label while the generator trains.
      process: of a diffusion or flow model, where it is another than its family's.
      resize, low: how the family resizes pictures, and what it maps black to.
      settles: whether a new tokenizer is fitted to all pictures in a way that no noise hides.
    """

    tokenizer: Any = None
    generator: Any
    tokenizer_schedule: Schedule | None = None
    generator_schedule: Schedule
    label_dropout: float = 0.1
    process: Mapping[str, Any] | None = None

    resize: ClassVar[Resize] = "adm"
    low: ClassVar[float] = -1.0
    settles: ClassVar[bool] = False

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
    directory: str | os.PathLike[str],
    recipe: Recipe,
    pictures: PictureSet,
    seed: int,
    init: Params | None = None,
    privacy: Privacy | None = None,
) -> None:
    """Makes `directory` that of this training run, or finds that it is, so that it may go on from there.

    Raises:
      InputError: if it holds another run; the message names every difference.
    """
    parts = {"tokenizer": recipe.tokenizer, "generator": recipe.generator}
    schedules = {name: dataclasses.asdict(schedule) for name, schedule in recipe.schedules.items()}
    for schedule in schedules.values():
        del schedule["checkpoint_every"]
    told = "labels" if pictures.null is None else "captions"
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
        "images_sha256": _sha256(pictures.images),
        f"{told}_sha256": _sha256(pictures.conditions),
        **({} if pictures.null is None else {"null_sha256": _sha256(pictures.null)}),
        **({} if init is None else {"init_sha256": _sha256(*map(np.asarray, jax.tree.leaves(init)))}),
        **({} if privacy is None else {"privacy": dataclasses.asdict(privacy)}),
    }
    claim(directory, _TRAINING, request)


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def fit_stage(
    stage: str,
    loss_function: LossFunction,
    params: Params,
    data: Examples,
    schedule: Schedule,
    *,
    directory: str | os.PathLike,
    seed: int,
    watch: Callable[[int, Params], None] = lambda step, params: None,
    held_out: Examples | None,
    progress: Progress,
    privacy: Privacy | None = None,
) -> Params:
    """The parameters after `fit` on rows of `data` (leaves [N, ...]); its state is in `directory`/`stage`.

    The loss of all rows of `held_out` (leaves [M, ...]) is told beside that of a step. `watch` is `fit`'s.
    """

    def tell(step: int, metrics: Mapping[str, float]) -> None:
        note = f"loss {metrics['loss']:.3f}"
        if "held_out" in metrics:
            note += f", held out {metrics['held_out']:.3f}"
        progress(step, schedule.steps, f"Training the {stage}", note)

    return fit(
        loss_function,
        params,
        lambda rows: {name: values[rows] for name, values in data.items()},
        len(next(iter(data.values()))),
        schedule,
        directory=Path(directory) / stage,
        seed=seed if privacy is None else _stage_seed(stage, seed),
        watch=watch,
        held_out=held_out,
        progress=tell,
        privacy=privacy,
    )


def _stage_seed(stage: str, seed: int) -> int:
    """Stages add up to one epsilon only if their coins and noise have nothing in common."""
    return int.from_bytes(hashlib.sha256(f"{stage}\0{seed}".encode()).digest()[:4])


def drop_conditions(
    key: Key[Array, ""], conditions: Shaped[Array, "B ..."], probability: float, null: Any
) -> Shaped[Array, "B ..."]:
    """The conditions [B,...], each replaced by the null condition with this probability.

    Without it a model never learns the null condition, on which the `diff` view of the attacks rests.
    Source: Ho & Salimans 2022 (arXiv 2207.12598).
    """
    dropped = jax.random.bernoulli(key, probability, conditions.shape[:1])
    null = jnp.broadcast_to(jnp.asarray(null, conditions.dtype), conditions.shape)
    return jnp.where(jnp.expand_dims(dropped, tuple(range(1, conditions.ndim))), null, conditions)


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
