"""Trains a U-ViT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.models.uvit import TRAINING, UViT, UViTConfig
from jaxaudit.training.denoiser import DenoiserTrainer

_TRAINER = DenoiserTrainer(config=UViTConfig, network=UViT, schedule=TRAINING, depth=2)

small_recipe = _TRAINER.small_recipe
train = _TRAINER.train
