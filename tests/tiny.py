"""Tiny random targets for tests of everything around a model."""

import functools
from typing import Any

from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.data import Preprocessing
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.targets import ContinuousTarget, DiscreteTarget

VAR_CONFIG = {
    "generator": {
        "num_classes": 10, "depth": 2, "width": 16, "num_heads": 2, "vocab_size": 24, "token_dim": 4,
        "patch_nums": [1, 2, 4],
    },
    "tokenizer": {
        "vocab_size": 24, "z_channels": 4, "ch": 8, "ch_mult": [1, 1], "num_res_blocks": 1,
        "patch_nums": [1, 2, 4], "attention": False,
    },
}  # fmt: skip
RAR_CONFIG = {
    "generator": {
        "num_classes": 10, "depth": 2, "width": 16, "num_heads": 2, "mlp_width": 32, "vocab_size": 24,
        "num_tokens": 16,
    },
    "tokenizer": {
        "vocab_size": 24, "z_channels": 4, "ch": 8, "ch_mult": [1, 1], "num_res_blocks": 1, "side": 4,
    },
}  # fmt: skip
MAR_CONFIG = {
    "generator": {
        "num_classes": 10, "depth": 1, "width": 16, "num_heads": 2, "buffer_size": 4, "side": 4,
        "latent_channels": 4, "head_depth": 2, "head_width": 24,
    },
    "tokenizer": {
        "latent_channels": 4, "ch": 8, "ch_mult": [1, 1], "num_res_blocks": 1,
        "encoder_attention_levels": [], "image_size": 8,
    },
}  # fmt: skip
MAR_SCORES = ("cond/loss", "cond/zlib", "diff/min_k_20", "cond/unified_loss", "cond/loss_ref")
MAR_OPTIONS = MaskedLossConfig(mask_ratio=0.86, timestep=300, num_noises=3)
"""Shared by tests, which then share a compiled program."""

DIGITS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)


@functools.cache
def var_target() -> DiscreteTarget:
    """An untrained VAR on 8 x 8 pictures: 21 tokens of 24 codes."""
    return _target("var", VAR_CONFIG)


@functools.cache
def rar_target() -> DiscreteTarget:
    """An untrained RAR on 8 x 8 pictures: 16 tokens of 24 codes."""
    return _target("rar", RAR_CONFIG)


@functools.cache
def mar_target() -> ContinuousTarget:
    """An untrained MAR on 8 x 8 pictures: 16 tokens of 4 channels."""
    return _target("mar", MAR_CONFIG)


def _target(family: str, config: dict[str, Any]) -> Any:
    family = get_family(family)
    params = random_params(family.abstract_params(config), seed=1)
    return family.build_target("tiny", config, params, DIGITS, {"fingerprint": "tiny"})
