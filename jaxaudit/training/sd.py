"""Trains a small Stable Diffusion on pixels, see `jaxaudit.training.denoiser`: the U-Net of captions."""

from jaxaudit.errors import InputError
from jaxaudit.families.sd import PROCESS
from jaxaudit.models.unet import UNet, UNetConfig
from jaxaudit.training.denoiser import CHANNELS, DenoiserTrainer, Shape

_GROUPED = 4
"""Channels that are normalised together. What the time adds to a channel alone in its group is lost again."""


def _small(shape: Shape) -> UNetConfig:
    """Two levels of one width, attention at the lower; the depth is that of ResBlocks at each."""
    if shape.context_shape is None:
        raise InputError("An sd is a model of captions, not of classes; say --captions.")
    length, channels = shape.context_shape
    return UNetConfig(
        num_classes=0,
        context_length=length,
        context_dim=channels,
        width=shape.width,
        ch_mult=(1, 1),
        num_res_blocks=shape.depth,
        attention_levels=(1,),
        heads=(1, shape.width // 32),
        latent_size=shape.image_size,
        latent_channels=CHANNELS,
        num_groups=shape.width // _GROUPED,
    )


_TRAINER = DenoiserTrainer(
    config=UNetConfig,
    network=UNet,
    process=PROCESS,
    small=_small,
    width=32,
    depth=1,
    generator_steps=1000,
    batch_size=16,  # convolutions of few channels are slow
    learning_rate=1e-3,
)

small_recipe = _TRAINER.small_recipe
fine_tuning_recipe = _TRAINER.fine_tuning_recipe
train = _TRAINER.train
