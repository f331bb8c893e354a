"""What a training is like if nobody says it: the size pictures are resized to, and the number of steps.

    size       the largest power of two that does not enlarge the smallest picture, from 8 to 32 px      (1)
    steps      as many epochs as the built-in targets were trained, but no fewer steps than theirs,
               and at most four times as many; of a fine-tuning, as many epochs                            (2)

Few pictures are memorised in the steps of (2), many are not: the number of epochs decides that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from jaxaudit.training.loop import Schedule
from jaxaudit.training.stages import Recipe

_SMALLEST, _LARGEST = 8, 32
_BUILT_IN = 898
"""Pictures that the built-in targets were trained on, `digits:members`."""
_MOST = 4
_FEWEST_OF_FINE_TUNING = 20


def default_image_size(short_side: int) -> int:
    """(1), for the shorter side of the smallest picture, pixels."""
    size = 2 ** max(short_side, 1).bit_length() // 2
    return min(max(size, _SMALLEST), _LARGEST)


def default_steps(built_in: int, num_pictures: int, *, fine_tuning: bool = False) -> int:
    """(2), for the steps that the built-in target was trained."""
    as_many_epochs = round(built_in * num_pictures / _BUILT_IN)
    if fine_tuning:
        return max(as_many_epochs, _FEWEST_OF_FINE_TUNING)
    return min(max(as_many_epochs, built_in), _MOST * built_in)


def for_pictures(
    recipe: Recipe, num_pictures: int, *, given: Collection[str] = (), fine_tuning: bool = False
) -> Recipe:
    """The recipe with the steps of (2), but for stages whose `{stage}_steps` were `given`."""

    def stage(name: str, schedule: Schedule | None) -> Schedule | None:
        if schedule is None or f"{name}_steps" in given:
            return schedule
        steps = default_steps(schedule.steps, num_pictures, fine_tuning=fine_tuning)
        return dataclasses.replace(schedule, steps=steps)

    return dataclasses.replace(
        recipe,
        tokenizer_schedule=stage("tokenizer", recipe.tokenizer_schedule),
        generator_schedule=stage("generator", recipe.generator_schedule),
    )


def epochs(schedule: Schedule, num_pictures: int) -> float:
    """How often a stage sees each picture."""
    return schedule.steps * min(schedule.batch_size, num_pictures) / num_pictures
