"""Tiny random targets for tests of everything around a model."""

import functools

from jaxaudit.data import Preprocessing
from jaxaudit.families import get_family
from jaxaudit.families.random import random_params
from jaxaudit.targets import TokenTarget

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
DIGITS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)


@functools.cache
def var_target() -> TokenTarget:
    """An untrained VAR on 8 x 8 pictures: 21 tokens of 24 codes."""
    family = get_family("var")
    params = random_params(family.abstract_params(VAR_CONFIG), seed=1)
    return family.build_target("tiny", VAR_CONFIG, params, DIGITS, {"fingerprint": "tiny"})
