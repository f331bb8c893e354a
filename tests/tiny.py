"""Tiny random targets for tests of everything around a model."""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.data import Picture, Preprocessing, Source, UnusableImageError, open_source
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.targets import ContinuousTarget, DiffusionTarget, DiscreteTarget

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
VAR_CLIP_CONFIG = VAR_CONFIG | {
    "generator": VAR_CONFIG["generator"] | {"num_classes": 0, "context_dim": 6},
}
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
CAPTIONED_CONFIG = {
    "generator": {
        "num_classes": 0, "context_length": 3, "context_dim": 6, "depth": 2, "width": 16, "num_heads": 2,
        "latent_size": 8, "latent_channels": 3, "patch_size": 4,
    },
    "tokenizer": None,
}  # fmt: skip
MAR_SCORES = ("cond/loss", "cond/zlib", "diff/min_k_20", "cond/unified_loss", "cond/loss_ref")
MAR_OPTIONS = MaskedLossConfig(mask_ratio=0.86, timestep=300, num_noises=3)
"""Shared by tests, which then share a compiled program."""

DIGITS = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)


def torn(source: Source, rows: Sequence[int]) -> Source:
    """The source, of which some pictures cannot be read and are to be skipped."""

    def maybe(index: int) -> Picture:
        if index in rows:
            raise UnusableImageError("it is torn")
        return source.read(index)

    return dataclasses.replace(source, read=maybe, skip_unreadable=True, skipped={})


def unused(*arguments: Any) -> Any:
    """In the place of a function that a test's target never needs."""
    raise AssertionError(f"called with {len(arguments)} arguments, and never needed")


@functools.cache
def var_target() -> DiscreteTarget:
    """An untrained VAR on 8 x 8 pictures: 21 tokens of 24 codes."""
    return _target("var", VAR_CONFIG)


@functools.cache
def var_clip_target() -> DiscreteTarget:
    """The same with captions, embeddings [1,6], in the place of classes."""
    return _target("var", VAR_CLIP_CONFIG)


@functools.cache
def rar_target() -> DiscreteTarget:
    """An untrained RAR on 8 x 8 pictures: 16 tokens of 24 codes."""
    return _target("rar", RAR_CONFIG)


@functools.cache
def mar_target() -> ContinuousTarget:
    """An untrained MAR on 8 x 8 pictures: 16 tokens of 4 channels."""
    return _target("mar", MAR_CONFIG)


@functools.cache
def captioned_target() -> DiffusionTarget:
    """An untrained U-ViT on 8 x 8 pictures, conditioned on embeddings of captions [3,6]."""
    return _target("uvit", CAPTIONED_CONFIG)


def embed(captions: Sequence[str]) -> np.ndarray:
    """What stands for a text encoder: [B,3,6] float32, different for different captions."""
    seeds = [zlib.crc32(caption.encode()) for caption in captions]
    return np.stack([np.random.default_rng(seed).standard_normal((3, 6), np.float32) for seed in seeds])


def save_captioned(path: Path, spec: str, *, embed: Callable[..., np.ndarray] | None = embed) -> Source:
    """The pictures of a source as an archive, its labels spelt out as captions; embedded, unless None."""
    source = open_source(spec)
    captions = [f"a handwritten {source.load(i).label}, {name}" for i, name in enumerate(source.ids)]
    arrays = {"captions": np.array(captions)}
    if embed is not None:
        arrays = {"embeddings": embed(captions), "null_embedding": embed([""])[0]}
    np.savez(path, images=np.stack([source.load(i).image for i in range(len(source))]), **arrays)
    return open_source(f"npz:{path}")


def _target(family: str, config: dict[str, Any]) -> Any:
    family = get_family(family)
    params = random_params(family.abstract_params(config), seed=1)
    return family.build_target("tiny", config, params, DIGITS, {"fingerprint": "tiny"})
