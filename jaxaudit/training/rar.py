"""Trains a RAR target, see `jaxaudit.training.discrete`: token after token in raster order.

    quantiser:  mean ‖e − sg z‖² + β mean ‖sg e − z‖²,  straight through from z to e    (1)

Sources: van den Oord et al. 2017 (arXiv 1711.00937), eq. (3), for (1); Yu et al. 2024 (arXiv 2411.00776), §3,
without the permuted orders that its training anneals away.

Axes: B batch, H and W pixels, L tokens.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxaudit.data.preprocessing import Resize
from jaxaudit.models.rar import RAR, RARConfig
from jaxaudit.tokenizers.maskgit_vq import MaskGITVQ, MaskGITVQConfig
from jaxaudit.training.discrete import DiscreteTrainer, Sizes
from jaxaudit.training.stages import Recipe

_COMMITMENT = 0.25  # β of (1)


class RARRecipe(Recipe):
    """A RAR target and how it is trained."""

    resize: ClassVar[Resize] = "bicubic"
    low: ClassVar[float] = 0.0


def _configs(sizes: Sizes) -> tuple[MaskGITVQConfig, RARConfig]:
    tokenizer = MaskGITVQConfig(
        vocab_size=sizes.vocab_size,
        z_channels=4,
        ch=32,
        ch_mult=(1,) * sizes.levels,
        num_res_blocks=1,
        side=sizes.side,
    )
    generator = RARConfig(
        num_classes=sizes.num_classes,
        depth=sizes.depth,
        width=sizes.width,
        num_heads=sizes.width // 32,
        mlp_width=4 * sizes.width,
        vocab_size=sizes.vocab_size,
        num_tokens=sizes.side**2,
    )
    return tokenizer, generator


def _quantised_pass(
    tokenizer: MaskGITVQ, images: Float[Array, "B H W 3"]
) -> tuple[Float[Array, "B H W 3"], Float[Array, ""]]:
    """x̂, not clamped, and (1)."""
    stop = jax.lax.stop_gradient
    features = tokenizer.features(images)
    codes = tokenizer.quantize.codes(tokenizer.quantize(stop(features)))
    to_codes = jnp.square(codes - stop(features)).mean()
    to_features = jnp.square(stop(codes) - features).mean()
    reconstructed = tokenizer.decode_features(features + stop(codes - features))
    return reconstructed, to_codes + _COMMITMENT * to_features


def _read(tokenizer: MaskGITVQ, tokens: Int[Array, "B L"]) -> Int[Array, "B _"]:
    del tokenizer
    return tokens[:, :-1]


_TRAINER = DiscreteTrainer(
    recipe=RARRecipe,
    configs=_configs,
    config_types=(MaskGITVQConfig, RARConfig),
    networks=(MaskGITVQ, RAR),
    reconstruct=_quantised_pass,
    read=_read,
    width=96,
    generator_steps=370,
)

small_recipe = _TRAINER.small_recipe
fine_tuning_recipe = _TRAINER.fine_tuning_recipe
train = _TRAINER.train
