"""Inception v3 of the Fréchet inception distance: the table of names of its PyTorch port (pytorch-fid)."""

from __future__ import annotations

from typing import Any

from checkpoints_convert.mapping import Table, batch_norm, conv, drop
from checkpoints_convert.records import Part, StateDict

_LAYER, _LAYER_PATH = r"(Conv2d_\w+)", r"\1"
_BRANCH, _BRANCH_PATH = r"(Mixed_\w+)\.(branch\w+)", r"\1/\2"

TABLE: Table = (
    *conv(rf"{_LAYER}\.conv", f"{_LAYER_PATH}/conv"),
    *batch_norm(rf"{_LAYER}\.bn", f"{_LAYER_PATH}/bn"),
    *conv(rf"{_BRANCH}\.conv", f"{_BRANCH_PATH}/conv"),
    *batch_norm(rf"{_BRANCH}\.bn", f"{_BRANCH_PATH}/bn"),
    (r"fc\.(?:weight|bias)", None, drop),  # the classifier; features are what it reads
)

LAYOUTS = (
    Part(
        title="network of the FID",
        landmarks=("Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.conv.weight"),
        nestings=("",),
        table=TABLE,
    ),
)
"""What a file with the weights may look like."""


def infer_config(state: StateDict) -> dict[str, Any]:
    """{}: the network has one shape."""
    del state
    return {}
