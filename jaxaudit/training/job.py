"""What is to be trained: a small model of sizes that fit its pictures, or a target that is there already."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxaudit.checkpoint import load_target, read_record
from jaxaudit.data import UNKNOWN_LABEL, Source, UnusableImageError
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.targets import Params, Target
from jaxaudit.training import TRAINERS
from jaxaudit.training.defaults import default_image_size, for_pictures
from jaxaudit.training.stages import Recipe

_LOOKED_AT = 64  # pictures whose size decides


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained.

    Attributes:
      family: of the model.
      recipe: how it is trained.
      config: of the target.
      target: what it will be; of a new one, parameters are shapes alone.
      init: parameters to begin with, None for random ones.
      origin: where they come from, JSON-able, for the provenance.
    """

    family: str
    recipe: Recipe
    config: Mapping[str, Any]
    target: Target
    init: Params | None = None
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def new_job(family: str, source: Source, *, short_side: int, captions: bool = False, **options: Any) -> Job:
    """A small model of a family.

    Args:
      family: a name in `TRAINERS`.
      source: the pictures; their number decides how many steps are taken, their labels how many classes there
        are, unless the options do.
      short_side: of the smallest picture, pixels.
      captions: whether captions are the condition, not classes.
      options: of the family's `small_recipe`.

    Raises:
      InputError: if an option is none of this family or does not fit, or classes or captions are not known.
    """
    trainer = TRAINERS[family]
    if captions:
        options |= {"context_shape": _context_shape(source), "num_classes": 0}
    options = {"image_size": default_image_size(short_side), "num_classes": None} | options
    if options["num_classes"] is None:
        options["num_classes"] = _num_classes(source)
    _check_options(trainer.small_recipe, options, f"family={family}")
    recipe = for_pictures(trainer.small_recipe(**options), len(source), given=options)
    built = get_family(family)
    shapes = built.abstract_params(recipe.config)
    target = built.build_target(f"a new {family}", recipe.config, shapes, recipe.preprocessing, {})
    return Job(family, recipe, recipe.config, target)


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
    target = load_target(init)
    origin = {"init": {"target": init, "fingerprint": record["fingerprint"]}}
    return Job(family, recipe, record["config"], target, target.params, origin)


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
    for name in sorted(options.keys() - inspect.signature(function).parameters.keys()):
        raise InputError(f"{name}={options[name]} does not apply to {to}.")


def _num_classes(source: Source) -> int:
    """As many as the labels tell apart; where none does, 1, of which there is then no label."""
    if source.num_classes is not None:
        return source.num_classes
    if source.labels is None:
        raise InputError(f"Only reading {source.spec} tells its labels; say how many classes there are.")
    return max(int(source.labels.max(initial=UNKNOWN_LABEL)) + 1, 1)


def _context_shape(source: Source) -> tuple[int, int]:
    """(T, D) of the stored embeddings."""
    if source.embeddings is None:
        raise InputError(
            f"{source.spec} has no embeddings of captions; name their file with ?embeddings=FILE."
        )
    shape = next(iter(source.embeddings.shapes.values()))
    if len(shape) != 2:
        raise InputError(f"{source.embeddings.where}: embeddings of shape {shape}; expected [T,D].")
    return shape[0], shape[1]
