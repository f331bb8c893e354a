"""SSCD: tables of names for the two layouts in use, and the config read from the shapes.

torchvision (`*.torchvision.pt`): blocks `layer1.0`, `layer2.0`, ..., projection `backbone.fc`.
Classy Vision (`*.classy.pt`): blocks `blocks.0.block0-0`, ..., projection `embeddings.1`.
"""

from __future__ import annotations

import itertools
from typing import Any

from checkpoints_convert.mapping import Table, batch_norm, conv, linear
from checkpoints_convert.records import Part, StateDict, shape
from jaxaudit.configs import to_dict
from jaxaudit.models.sscd import SSCDConfig

_STAGES = 4
_BLOCK, _BLOCK_PATH = r"backbone\.layer(\d+)\.(\d+)", r"backbone/layer\1_\2"

TORCHVISION: Table = (
    *conv(r"backbone\.conv1", "backbone/conv1"),
    *batch_norm(r"backbone\.bn1", "backbone/bn1"),
    *conv(rf"{_BLOCK}\.(conv[123])", rf"{_BLOCK_PATH}/\3"),
    *batch_norm(rf"{_BLOCK}\.(bn[123])", rf"{_BLOCK_PATH}/\3"),
    *conv(rf"{_BLOCK}\.downsample\.0", rf"{_BLOCK_PATH}/downsample_0"),
    *batch_norm(rf"{_BLOCK}\.downsample\.1", rf"{_BLOCK_PATH}/downsample_1"),
    *linear(r"backbone\.fc", "backbone/fc"),
)
"""Rows of the torchvision layout."""


def _classy() -> Table:
    table = [
        *conv(r"backbone\.initial_block\._module\.0", "backbone/conv1"),
        *batch_norm(r"backbone\.initial_block\._module\.1", "backbone/bn1"),
        *linear(r"embeddings\.1", "backbone/fc"),
    ]
    for stage in range(_STAGES):
        block, path = rf"backbone\.blocks\.{stage}\.block{stage}-(\d+)", rf"backbone/layer{stage + 1}_\1"
        for i in range(3):
            table += conv(rf"{block}\.convolutional_block\.{3 * i}", f"{path}/conv{i + 1}")
        for i in range(2):
            table += batch_norm(rf"{block}\.convolutional_block\.{3 * i + 1}", f"{path}/bn{i + 1}")
        table += batch_norm(rf"{block}\.bn", f"{path}/bn3")
        table += conv(rf"{block}\.downsample\.0", f"{path}/downsample_0")
        table += batch_norm(rf"{block}\.downsample\.1", f"{path}/downsample_1")
    return tuple(table)


CLASSY: Table = _classy()
"""Rows of the Classy Vision layout."""

LAYOUTS = (
    Part(
        title="network of SSCD",
        landmarks=("backbone.layer1.0.conv1.weight", "backbone.fc.weight"),
        nestings=("",),
        table=TORCHVISION,
    ),
    Part(
        title="network of SSCD",
        landmarks=("backbone.blocks.0.block0-0.convolutional_block.0.weight", "embeddings.1.weight"),
        nestings=("",),
        table=CLASSY,
    ),
)
"""What a file with the weights may look like."""


def infer_config(state: StateDict) -> dict[str, Any]:
    """The fields of `SSCDConfig`, from the shapes of a state dict in either layout.

    Raises:
      InputError: if a tensor that tells the shape is missing.
    """
    if "backbone.fc.weight" in state:
        stem, head = "backbone.conv1.weight", "backbone.fc.weight"
        block, reduce, mix = "backbone.layer{1}.{2}", "conv1", "conv2"
    else:
        stem, head = "backbone.initial_block._module.0.weight", "embeddings.1.weight"
        block, reduce, mix = "backbone.blocks.{0}.block{0}-{2}", *(f"convolutional_block.{i}" for i in (0, 3))

    def key(stage: int, index: int, name: str) -> str:
        return f"{block.format(stage, stage + 1, index)}.{name}.weight"

    sizes = [
        next(i for i in itertools.count() if key(stage, i, reduce) not in state) for stage in range(_STAGES)
    ]
    inner, per_group, *_ = shape(state, key(0, 0, mix), 4)
    config = SSCDConfig(
        stage_sizes=tuple(size for size in sizes if size),
        width=shape(state, stem, 4)[0],
        inner_width=inner,
        groups=inner // per_group,
        dim=shape(state, head, 2)[0],
    )
    return to_dict(config)
