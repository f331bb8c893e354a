"""How parameters are split along the axis "model" of a mesh.

A family says it by rules, (regex, spec): the first regex found in the path of a parameter, such as
"generator/blocks_0/attn/qkv/kernel", decides. Its spec is that of the parameter's last axes, so that a rule
also holds where blocks are stacked on an axis before them. A parameter without a rule, or whose axis cannot
be cut into equal pieces, is whole on every device.

Maps into the hidden units and the heads of a block are split by columns, those back into the residual stream
by rows (Shoeybi et al., "Megatron-LM", arXiv 1909.08053, section 3): the pieces of a block meet in one sum
behind its attention and one behind its MLP. Embeddings are split by features, not by entries: a lookup then
asks no other device, and the number of entries (1,000 classes and a null label) is seldom divisible.
"""

from __future__ import annotations

import math
import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxaudit.runtime.mesh import MODEL_AXIS

Rules = tuple[tuple[str, PartitionSpec], ...]
"""(regex of the path, how the last axes are split); see the module."""

FEATURES = PartitionSpec(MODEL_AXIS)
"""The last axis is split: columns of a kernel, features of an embedding, units of a bias."""

_ROWS = PartitionSpec(MODEL_AXIS, None)


def by_columns(*layers: str) -> Rules:
    """Rules for linear maps of the generator, regexes of their names, whose outputs are split."""
    return ((rf"^generator/(.*/)?({'|'.join(layers)})/(kernel|bias)$", FEATURES),)


def by_rows(*layers: str) -> Rules:
    """Rules for those whose inputs are split, and whose outputs are sums over the pieces."""
    return ((rf"^generator/(.*/)?({'|'.join(layers)})/kernel$", _ROWS),)


def by_features(*parameters: str) -> Rules:
    """Rules for embeddings and other single parameters, split along their last axis."""
    return ((rf"^generator/(.*/)?({'|'.join(parameters)})$", FEATURES),)


def param_specs(params: Any, rules: Rules, split: int) -> Any:
    """The tree of specs of `params`, arrays or `jax.ShapeDtypeStruct`s, for `split` devices of that axis."""

    def spec(path: tuple[Any, ...], leaf: Any) -> PartitionSpec:
        name = "/".join(entry.key for entry in path)
        last = next((spec for regex, spec in rules if re.search(regex, name)), PartitionSpec())
        axes = (*[None] * (len(leaf.shape) - len(last)), *last)
        whole = split == 1 or MODEL_AXIS not in axes or leaf.shape[axes.index(MODEL_AXIS)] % split
        return PartitionSpec() if whole else PartitionSpec(*axes)

    return jax.tree_util.tree_map_with_path(spec, params)


def param_shardings(params: Any, rules: Rules, mesh: Mesh) -> Any:
    """The tree of shardings of `params`, arrays or `jax.ShapeDtypeStruct`s, on a mesh."""
    specs = param_specs(params, rules, mesh.shape[MODEL_AXIS])
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)


def place(params: Any, rules: Rules, mesh: Mesh) -> Any:
    """`params` on the devices of `mesh`, split by `rules`; what lies there already is not moved."""
    return jax.device_put(params, param_shardings(params, rules, mesh))


def bytes_per_device(params: Any, rules: Rules, split: int) -> int:
    """Bytes of `params` on each device if the axis has `split` of them."""

    def held(leaf: Any, spec: PartitionSpec) -> int:
        return math.prod(leaf.shape) * leaf.dtype.itemsize // (split if MODEL_AXIS in spec else 1)

    return sum(jax.tree.leaves(jax.tree.map(held, params, param_specs(params, rules, split))))
