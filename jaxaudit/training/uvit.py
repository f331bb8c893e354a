"""Trains a U-ViT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.families.uvit import PROCESS
from jaxaudit.models.uvit import UViT, UViTConfig
from jaxaudit.training.denoiser import DenoiserTrainer

_TRAINER = DenoiserTrainer(config=UViTConfig, network=UViT, process=PROCESS, depth=2)

small_recipe = _TRAINER.small_recipe
train = _TRAINER.train
