"""Training of small targets, one module per family.

A trainer is a module with

    small_recipe(image_size, num_classes, *, width, depth, tokenizer_steps, generator_steps) -> recipe
    train(recipe, images, labels, *, directory, seed, progress) -> params

whose options have defaults, and whose recipe is a `jaxaudit.training.stages.Recipe` with the `preprocessing`
of the target. Those without a tokenizer have no `tokenizer_steps`.
"""

from types import ModuleType

from jaxaudit.training import dit, mar, rar, uvit, var

TRAINERS: dict[str, ModuleType] = {"dit": dit, "mar": mar, "rar": rar, "uvit": uvit, "var": var}
"""Every trainer by the name of its family."""
