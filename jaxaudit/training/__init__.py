"""Training of small targets, one module per family.

A trainer is a module with

    small_recipe(image_size, num_classes, *, width, depth, tokenizer_steps, generator_steps) -> recipe
    train(recipe, images, labels, *, directory, seed, progress) -> params

whose options have defaults, and whose recipe has the `config` and `preprocessing` of the target and the
schedules of its two stages.
"""

from types import ModuleType

from jaxaudit.training import mar, rar, var

TRAINERS: dict[str, ModuleType] = {"mar": mar, "rar": rar, "var": var}
"""Every trainer by the name of its family."""
