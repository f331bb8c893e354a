"""`DiTTransformer2DModel`: DiT under other names, with the function that the weights were trained with.

diffusers computes another one: its frequencies of the time divide by 127 in the place of 128, and its second
norm adds 1e-5 in the place of 1e-6 where the config does not say otherwise. Recorded outputs differ by up to
0.97. A target has DiT's own function, so neither is read.

In a folder every block has a copy of the embeddings of time and class; the queries, keys and values are three
layers where DiT has one; and the positions are not stored, since nothing trains them.

Axes of the stored tensors: O output features, I input features.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from checkpoints_convert.diffusers.networks import Denoiser
from checkpoints_convert.diffusers.settings import Settings
from checkpoints_convert.mapping import Table, conv, keep, linear
from checkpoints_convert.records import StateDict
from checkpoints_convert.stored import StoredArray
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.errors import InputError
from jaxaudit.families.dit import PROCESS
from jaxaudit.models.dit import DiTConfig, position_table

_BLOCK, _BLOCK_PATH = r"transformer_blocks\.(\d+)", r"blocks_\1"
_FIRST = r"transformer_blocks\.0\.norm1\.emb"
_COPY = re.compile(r"transformer_blocks\.[1-9]\d*\.norm1\.emb\.(.+)")
_QUERY = re.compile(r"(.+\.attn1)\.to_q\.(weight|bias)")

TABLE: Table = (
    (r"pos_embed", "pos_embed", keep),
    *conv(r"pos_embed\.proj", "x_embedder/proj"),
    *linear(rf"{_FIRST}\.timestep_embedder\.linear_1", "t_embedder/mlp_0"),
    *linear(rf"{_FIRST}\.timestep_embedder\.linear_2", "t_embedder/mlp_2"),
    (rf"{_FIRST}\.class_embedder\.embedding_table\.weight", "y_embedder/embedding_table/embedding", keep),
    *linear(rf"{_BLOCK}\.norm1\.linear", f"{_BLOCK_PATH}/adaLN_modulation_1"),
    *linear(rf"{_BLOCK}\.attn1\.to_qkv", f"{_BLOCK_PATH}/attn/qkv"),
    *linear(rf"{_BLOCK}\.attn1\.to_out\.0", f"{_BLOCK_PATH}/attn/proj"),
    *linear(rf"{_BLOCK}\.ff\.net\.0\.proj", f"{_BLOCK_PATH}/mlp/fc1"),
    *linear(rf"{_BLOCK}\.ff\.net\.2", f"{_BLOCK_PATH}/mlp/fc2"),
    *linear(r"proj_out_1", "final_layer/adaLN_modulation_1"),
    *linear(r"proj_out_2", "final_layer/linear"),
)
"""Rows for what `prepare` returns."""


def config(settings: Settings, _: Mapping[str, Any]) -> dict[str, Any]:
    """The config of `jaxaudit.models.dit.DiT`."""
    said = settings.take(
        {
            "num_attention_heads": int,
            "attention_head_dim": int,
            "num_layers": int,
            "sample_size": int,
            "patch_size": int,
            "in_channels": int,
            "out_channels": 0,
            "num_embeds_ada_norm": int,
        },
        only={
            "norm_type": "ada_norm_zero",
            "activation_fn": "gelu-approximate",
            "attention_type": "default",
            "attention_bias": True,
            "norm_elementwise_affine": False,
        },
        whatever={"dropout", "norm_eps", "norm_num_groups", "upcast_attention"},
    )
    channels = said["in_channels"]
    outputs = said["out_channels"] or channels
    if outputs not in (channels, 2 * channels):
        raise InputError(
            f"{settings.path} has out_channels={outputs}; expected in_channels={channels}, or twice as many."
        )
    return to_dict(
        DiTConfig(
            num_classes=said["num_embeds_ada_norm"],
            depth=said["num_layers"],
            width=said["num_attention_heads"] * said["attention_head_dim"],
            num_heads=said["num_attention_heads"],
            latent_size=said["sample_size"],
            latent_channels=channels,
            patch_size=said["patch_size"],
            learned_variance=outputs != channels,
        )
    )


def prepare(state: StateDict, config: Mapping[str, Any]) -> StateDict:
    """The tensors with one copy of the embeddings, `to_qkv` for `to_q`, `to_k` and `to_v`, and the positions.

    Raises:
      InputError: if a copy is not one.
    """
    prepared = dict(state)
    for key in state:
        if copy := _COPY.fullmatch(key):
            first = f"transformer_blocks.0.norm1.emb.{copy[1]}"
            if first in state and not _equal(state[first], state[key]):
                raise InputError(f"{key} is not the copy of {first} that it is in a DiT.")
            del prepared[key]
        elif query := _QUERY.fullmatch(key):
            names = [f"{query[1]}.to_{part}.{query[2]}" for part in "qkv"]
            if all(name in state and state[name].shape == state[key].shape for name in names):
                prepared[f"{query[1]}.to_qkv.{query[2]}"] = _stacked([prepared.pop(name) for name in names])
    network = from_dict(DiTConfig, config)
    positions = position_table(network.width, network.latent_size // network.patch_size)[None]
    return prepared | {"pos_embed": StoredArray(positions.shape, positions.dtype, lambda: positions)}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, jax.ShapeDtypeStruct):
        return one == other
    return np.array_equal(one, other)


def _stacked(layers: Sequence[Any]) -> Any:
    """Weights [O,I] or biases [O] as one [3 O,I] or [3 O]."""
    first = layers[0]
    shape = (len(layers) * first.shape[0], *first.shape[1:])
    if isinstance(first, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(shape, first.dtype)
    return StoredArray(shape, first.dtype, lambda: np.concatenate([np.asarray(layer) for layer in layers]))


NETWORK = Denoiser(
    title="DiT transformer",
    config=config,
    table=lambda _: TABLE,
    prepare=prepare,
    family="dit",
    process=PROCESS,
)
