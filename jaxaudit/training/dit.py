"""Trains a DiT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.models.dit import TRAINING, DiT, DiTConfig
from jaxaudit.training.denoiser import DenoiserTrainer

_TRAINER = DenoiserTrainer(config=DiTConfig, network=DiT, schedule=TRAINING, depth=3)

small_recipe = _TRAINER.small_recipe
train = _TRAINER.train
