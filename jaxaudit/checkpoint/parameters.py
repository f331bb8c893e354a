"""The parameters of a target: their shapes, their digest, and how they are restored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from jaxaudit.errors import InputError
from jaxaudit.targets import Params


def restore(
    folder: Path, abstract: Params, dtype: np.dtype | None, shardings: Params | jax.sharding.Sharding
) -> Params:
    """The parameters in a folder, straight into a dtype (None: their own) and a tree of shardings, or one.

    Every device reads its own pieces; none ever holds more.

    Raises:
      InputError: if they have other shapes than `abstract`, or cannot be read.
    """
    try:
        with ocp.StandardCheckpointer(
            restore_concurrent_gb=_gigabytes_at_once(abstract), multiprocessing_options=alone()
        ) as checkpointer:
            stored = checkpointer.metadata(folder).item_metadata.tree
            check_shapes(abstract, stored, f"{folder.parent} does not fit its config")
            wanted = abstract if dtype else jax.tree.map(_spec, stored)
            return checkpointer.restore(folder, sharded(cast(wanted, dtype), shardings))
    except InputError:
        raise
    except Exception as error:  # no common type covers what Orbax and TensorStore raise on damaged files
        reason = str(error).partition("\n")[0]
        raise InputError(f"Cannot restore the parameters of {folder.parent}: {reason}.") from error


def alone() -> ocp.options.MultiprocessingOptions:
    """Has a checkpointer wait for no other process, though on a TPU pod JAX knows of some."""
    us = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=us, active_processes={us})


def cast(abstract: Params, dtype: np.dtype | None) -> Params:
    """The same shapes, with `dtype` for floating leaves, if there is one."""

    def leaf(spec: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        kind = dtype if dtype and jnp.issubdtype(spec.dtype, jnp.floating) else spec.dtype
        return jax.ShapeDtypeStruct(spec.shape, kind)

    return jax.tree.map(leaf, abstract)


def sharded(abstract: Params, shardings: Params | jax.sharding.Sharding) -> Params:
    """The same shapes and dtypes, with a tree of shardings, or one for all."""

    def leaf(spec: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(spec.shape, spec.dtype, sharding=sharding)

    whole = jax.tree.broadcast(shardings, abstract)
    return jax.tree.map(leaf, abstract, whole)


def check_shapes(wanted: Params, found: Any, sentence: str) -> None:
    """Raises InputError, which begins with `sentence`, where two trees differ in their paths or shapes."""
    wanted, found = (traverse_util.flatten_dict(tree, sep="/") for tree in (wanted, found))
    problems = [f"{path} is missing" for path in wanted.keys() - found.keys()]
    problems += [f"{path} is unknown" for path in found.keys() - wanted.keys()]
    problems += [
        f"{path} has shape {tuple(found[path].shape)} instead of {wanted[path].shape}"
        for path in wanted.keys() & found.keys()
        if tuple(found[path].shape) != wanted[path].shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(f"{sentence}: {'; '.join(sorted(problems)[:5])}{more}.")


def fingerprint(record: Mapping[str, Any], params: Params) -> str:
    """SHA-256 (hex) of family, config, preprocessing and every parameter of a target without vocabulary."""
    digest = Fingerprint(record)
    for path, leaf in sorted(traverse_util.flatten_dict(params, sep="/").items()):
        digest.add(path, np.asarray(leaf))
    return digest.hexdigest()


class Fingerprint:
    """The same, where parameters are not at hand all at once: they are added in the order of their paths."""

    def __init__(self, record: Mapping[str, Any]):
        described = {field: record[field] for field in ("family", "config", "preprocessing")}
        self._digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())

    def add(self, path: str, values: np.ndarray) -> None:
        """Adds the parameter at that path ("/" between levels)."""
        self._digest.update(f"{path} {values.dtype} {values.shape}".encode())
        self._digest.update(np.ascontiguousarray(values).view(np.uint8).data)

    def hexdigest(self) -> str:
        """The hexadecimal digest of what was added."""
        return self._digest.hexdigest()


def _gigabytes_at_once(abstract: Params) -> int:
    """How much Orbax may have read that is not yet in its place: at least one parameter, however wide."""
    return 2 + max(leaf.size * 8 for leaf in jax.tree.leaves(abstract)) // 10**9


def _spec(stored: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(stored.shape, stored.dtype)
