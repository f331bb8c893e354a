"""What is to be trained: a small model of sizes that fit its pictures, or a target that is there already."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxaudit.checkpoint import find_vocabulary, load_target, read_record
from jaxaudit.configs import to_dict
from jaxaudit.data import UNKNOWN_LABEL, Source, UnusableImageError
from jaxaudit.data.byte_pairs import Vocabulary, read_vocabulary
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.captions import TEXT_ENCODER, with_text_encoder
from jaxaudit.targets import Params, Target
from jaxaudit.training import TRAINERS
from jaxaudit.training.defaults import default_image_size, for_pictures
from jaxaudit.training.stages import Recipe
from jaxaudit.training.text import SmallTextEncoder, small_text_encoder

_LOOKED_AT = 64  # pictures whose size decides


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained.

    Attributes:
      family: of the model.
      recipe: how it is trained.
      config: of the target.
      target: what it will be, as far as pictures and captions are concerned.
      params: those that are there already: all of a target that is trained further, the text encoder of a new
        one.
      vocabulary: of the text encoder, None without one.
      origin: where `params` come from, JSON-able, for the provenance.
    """

    family: str
    recipe: Recipe
    config: Mapping[str, Any]
    target: Target
    params: Params = dataclasses.field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def init(self) -> Params | None:
        """What training begins with, None for random parameters."""
        return self.params if "generator" in self.params else None


def new_job(
    family: str, source: Source, *, short_side: int, captions: bool = False, seed: int = 0, **options: Any
) -> Job:
    """A small model of a family.

    Args:
      family: a name in `TRAINERS`.
      source: the pictures; their number decides how many steps are taken, their labels how many classes there
        are, unless the options do.
      short_side: of the smallest picture, pixels.
      captions: whether captions are the condition, not classes: stored embeddings, or text, for which the
        model gets a small text encoder.
      seed: of the text encoder.
      options: of the family's `small_recipe`.

    Raises:
      InputError: if an option is none of this family or does not fit, or classes or captions are not known.
    """
    trainer, text = TRAINERS[family], None
    options = {"image_size": default_image_size(short_side), **options}
    if captions and "num_classes" in options:
        raise InputError(f"num_classes={options['num_classes']} does not apply to a model of captions.")
    if captions:
        text = _text_encoder(source, seed)
        options |= {"num_classes": 0, "context_shape": text.config.context_shape if text else _stored(source)}
    elif "num_classes" not in options:
        options["num_classes"] = _num_classes(source)
    _check_options(trainer.small_recipe, options, f"family={family}")
    recipe = for_pictures(trainer.small_recipe(**options), len(source), given=options)
    config = recipe.config if text is None else {**recipe.config, TEXT_ENCODER: to_dict(text.config)}
    params, vocabulary = ({}, None) if text is None else ({TEXT_ENCODER: text.params}, text.vocabulary)
    target = get_family(family).build_target(f"a new {family}", config, params, recipe.preprocessing, {})
    return Job(family, recipe, config, with_text_encoder(target, config, vocabulary), params, vocabulary)


def further_job(init: str, num_pictures: int, **options: Any) -> Job:
    """A target that is there already, whose generator is trained further.

    Args:
      init: its name or directory.
      num_pictures: decides how many steps are taken, unless the options do.
      options: of its family's `fine_tuning_recipe`.

    Raises:
      InputError: if there is no such target, or it cannot be trained here, or an option does not apply to it.
    """
    record = read_record(init)
    family = record["family"]
    if family not in TRAINERS:
        raise InputError(
            f"init={init} is a {family}; those that can be trained further are {', '.join(TRAINERS)}."
        )
    trainer = TRAINERS[family]
    _check_options(trainer.fine_tuning_recipe, options, f"init={init}")
    recipe = trainer.fine_tuning_recipe(record["config"], **options)
    recipe = for_pictures(recipe, num_pictures, given=options, fine_tuning=True)
    target, folder = load_target(init), find_vocabulary(init)
    vocabulary = None if folder is None else read_vocabulary(folder)
    origin = {"init": {"target": init, "fingerprint": record["fingerprint"]}}
    return Job(family, recipe, record["config"], target, target.params, vocabulary, origin)


def check_can_be_private(job: Job) -> None:
    """Makes sure that all the job learns of its pictures goes through gradients, which noise can hide.

    Raises:
      InputError: for a new model whose tokenizer or text encoder is fitted to them otherwise.
    """
    advice = "add noise to a training that begins with a target (--init), or to another family's"
    if job.init is None and job.recipe.settles:
        raise InputError(
            f"A new {job.family} standardises its latents by the mean and deviation of its pictures, which "
            f"no noise hides; {advice}."
        )
    if job.init is None and job.vocabulary is not None:
        raise InputError(
            f"A new {job.family} takes its vocabulary from the captions, which no noise hides; {advice}."
        )


def short_sides(source: Source) -> list[int]:
    """The shorter sides, pixels, of some pictures from all over the source; [] if they cannot be read."""
    found = []
    for row in np.unique(np.linspace(0, len(source) - 1, _LOOKED_AT).astype(int)):
        try:
            found.append(min(source.load(int(row)).image.shape[:2]))
        except UnusableImageError:
            continue  # they are reported together, once all are read
    return found


def _check_options(function: Callable[..., Any], options: Mapping[str, Any], to: str) -> None:
    if "context_shape" in options and "context_shape" not in inspect.signature(function).parameters:
        raise InputError(f"Captions do not apply to {to}, which is told classes.")
    for name in sorted(options.keys() - inspect.signature(function).parameters.keys()):
        raise InputError(f"{name}={options[name]} does not apply to {to}.")


def _num_classes(source: Source) -> int:
    """As many as the labels tell apart; where none does, 1, of which there is then no label."""
    if source.num_classes is not None:
        return source.num_classes
    if source.labels is None:
        raise InputError(f"Only reading {source.spec} tells its labels; say how many classes there are.")
    return max(int(source.labels.max(initial=UNKNOWN_LABEL)) + 1, 1)


def _text_encoder(source: Source, seed: int) -> SmallTextEncoder | None:
    """One for the captions of a source; None if they are stored as embeddings."""
    if source.embeddings is not None:
        return None
    if source.captions is None:
        raise InputError(f"Only reading {source.spec} tells its captions; embed them, ?embeddings=FILE.")
    if not (captions := [source.captions[name] for name in source.ids if name in source.captions]):
        raise InputError(f"{source.spec} has no captions to be conditioned on.")
    return small_text_encoder(captions, seed=seed)


def _stored(source: Source) -> tuple[int, ...]:
    """(T, D) of the stored embeddings; all are compared with it when they are read."""
    assert source.embeddings is not None, "else there is a text encoder"
    return next(iter(source.embeddings.shapes.values()), (0, 0))
