"""Trains a VAR target, see `jaxaudit.training.discrete`: the next scale of tokens given all smaller ones.

Source: Tian et al. 2024 (arXiv 2404.02905), §3.

Axes: B batch, H and W pixels, L tokens.
"""

from typing import ClassVar

from jaxtyping import Array, Float, Int

from jaxaudit.data.preprocessing import Resize
from jaxaudit.models.var import VAR, VARConfig
from jaxaudit.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig
from jaxaudit.training.discrete import DiscreteTrainer, Sizes
from jaxaudit.training.stages import Recipe


class VARRecipe(Recipe):
    """A VAR target and how it is trained."""

    resize: ClassVar[Resize] = "lanczos"


def _configs(sizes: Sizes) -> tuple[MultiScaleVQConfig, VARConfig]:
    patch_nums = tuple(2**power for power in range(sizes.side.bit_length()))
    tokenizer = MultiScaleVQConfig(
        vocab_size=sizes.vocab_size,
        z_channels=4,
        ch=32,
        ch_mult=(1,) * sizes.levels,
        num_res_blocks=1,
        patch_nums=patch_nums,
        attention=False,
    )
    generator = VARConfig(
        num_classes=sizes.num_classes,
        depth=sizes.depth,
        width=sizes.width,
        num_heads=sizes.width // 32,
        vocab_size=sizes.vocab_size,
        token_dim=4,
        patch_nums=patch_nums,
    )
    return tokenizer, generator


def _reconstruct(
    tokenizer: MultiScaleVQ, images: Float[Array, "B H W 3"]
) -> tuple[Float[Array, "B H W 3"], Float[Array, ""]]:
    result = tokenizer(images)
    return result.images, result.loss


def _read(tokenizer: MultiScaleVQ, tokens: Int[Array, "B L"]) -> Float[Array, "B _ D"]:
    return tokenizer.var_input(tokens)


_TRAINER = DiscreteTrainer(
    recipe=VARRecipe,
    configs=_configs,
    config_types=(MultiScaleVQConfig, VARConfig),
    networks=(MultiScaleVQ, VAR),
    reconstruct=_reconstruct,
    read=_read,
    width=128,
    generator_steps=420,
)

small_recipe = _TRAINER.small_recipe
fine_tuning_recipe = _TRAINER.fine_tuning_recipe
train = _TRAINER.train
