"""Training of small targets, one module per family.

A trainer is a module with

    small_recipe(image_size, num_classes, **options) -> recipe     `config` and `preprocessing` of the target
    train(recipe, images, labels, *, directory, seed, progress) -> params
"""

from types import ModuleType

from jaxaudit.training import var

TRAINERS: dict[str, ModuleType] = {"var": var}
"""Every trainer by the name of its family."""
