"""Trains a DiT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.errors import InputError
from jaxaudit.families.dit import PROCESS
from jaxaudit.models.dit import DiT, DiTConfig
from jaxaudit.training.denoiser import DenoiserTrainer, Shape


def _small(shape: Shape) -> DiTConfig:
    if shape.context_shape is not None:
        raise InputError("Captions do not apply to a DiT, which is told classes.")
    return DiTConfig(num_classes=shape.num_classes, **shape.transformer)


_TRAINER = DenoiserTrainer(config=DiTConfig, network=DiT, process=PROCESS, small=_small, depth=3)

small_recipe = _TRAINER.small_recipe
fine_tuning_recipe = _TRAINER.fine_tuning_recipe
train = _TRAINER.train
