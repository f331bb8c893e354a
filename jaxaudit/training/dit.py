"""Trains a DiT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.families.dit import PROCESS
from jaxaudit.models.dit import DiT, DiTConfig
from jaxaudit.training.denoiser import DenoiserTrainer

_TRAINER = DenoiserTrainer(config=DiTConfig, network=DiT, process=PROCESS, depth=3)

small_recipe = _TRAINER.small_recipe
train = _TRAINER.train
