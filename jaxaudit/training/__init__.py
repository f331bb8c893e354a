"""Training of small targets, one module per family.

A trainer is a module with

    small_recipe(image_size, num_classes, *, width, depth, tokenizer_steps, generator_steps) -> recipe
    fine_tuning_recipe(config, *, generator_steps) -> recipe
    train(recipe, pictures, *, directory, seed, held_out, init, progress, privacy) -> params

whose options have defaults, and whose recipe is a `jaxaudit.training.stages.Recipe` with the `preprocessing`
of the target. Those without a tokenizer have no `tokenizer_steps`; those of diffusion models also take a
`process`, and the `context_shape` of captions' embeddings. A fine-tuning recipe is that of a target with this
config, from whose parameters `train` begins if they are `init`: the generator is trained further, and the
tokenizer stays as it is. All have a `watch` besides, which sees the parameters after every step of the
generator.
"""

from types import ModuleType

from jaxaudit.training import dit, mar, rar, sd, uvit, var
from jaxaudit.training.stages import PictureSet

TRAINERS: dict[str, ModuleType] = {
    "dit": dit,
    "mar": mar,
    "rar": rar,
    "sd": sd,
    "uvit": uvit,
    "var": var,
}
"""Every trainer by the name of its family."""

__all__ = ["TRAINERS", "PictureSet"]
