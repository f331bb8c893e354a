"""Trains a U-ViT target on pixels, see `jaxaudit.training.denoiser`."""

from jaxaudit.families.uvit import PROCESS
from jaxaudit.models.uvit import UViT, UViTConfig
from jaxaudit.training.denoiser import DenoiserTrainer, Shape


def _small(shape: Shape) -> UViTConfig:
    length, channels = shape.context_shape or (0, 0)
    return UViTConfig(
        num_classes=shape.num_classes, context_length=length, context_dim=channels, **shape.transformer
    )


_TRAINER = DenoiserTrainer(config=UViTConfig, network=UViT, process=PROCESS, small=_small, depth=2)

small_recipe = _TRAINER.small_recipe
fine_tuning_recipe = _TRAINER.fine_tuning_recipe
train = _TRAINER.train
