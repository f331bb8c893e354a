"""Trains a DiT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.families.dit import PROCESS
from jaxaudit.models.dit import DiT, DiTConfig
from jaxaudit.training.denoiser import DenoiserTrainer, Shape


def _small(shape: Shape) -> DiTConfig:
    return DiTConfig(num_classes=shape.num_classes, **shape.transformer)


_TRAINER = DenoiserTrainer(config=DiTConfig, network=DiT, process=PROCESS, small=_small, depth=3)

small_recipe = _TRAINER.small_recipe
fine_tuning_recipe = _TRAINER.fine_tuning_recipe
train = _TRAINER.train
