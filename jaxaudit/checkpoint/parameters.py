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
    folder: Path, abstract: Params, dtype: np.dtype | None, sharding: jax.sharding.Sharding | None
) -> Params:
    """The parameters in a folder, straight into a dtype (None: their own) and sharding (None: first device).

    Raises:
      InputError: if they have other shapes than `abstract`, or cannot be read.
    """
    sharding = sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        with checkpointer_alone() as checkpointer:
            stored = checkpointer.metadata(folder).item_metadata.tree
            check_shapes(abstract, stored, f"{folder.parent} does not fit its config")
            wanted = abstract if dtype else jax.tree.map(_spec, stored)
            return checkpointer.restore(folder, cast(wanted, dtype, sharding))
    except InputError:
        raise
    except Exception as error:  # no common type covers what Orbax and TensorStore raise on damaged files
        reason = str(error).partition("\n")[0]
        raise InputError(f"Cannot restore the parameters of {folder.parent}: {reason}.") from error


def checkpointer_alone() -> ocp.StandardCheckpointer:
    """A checkpointer that waits for no other process, though on a TPU pod JAX knows of some."""
    us = jax.process_index()
    options = ocp.options.MultiprocessingOptions(primary_host=us, active_processes={us})
    return ocp.StandardCheckpointer(multiprocessing_options=options)


def cast(abstract: Params, dtype: np.dtype | None, sharding: jax.sharding.Sharding | None) -> Params:
    """The same shapes, with `dtype` for floating leaves, if there is one."""

    def leaf(spec: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        kind = dtype if dtype and jnp.issubdtype(spec.dtype, jnp.floating) else spec.dtype
        return jax.ShapeDtypeStruct(spec.shape, kind, sharding=sharding)

    return jax.tree.map(leaf, abstract)


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
    """SHA-256 (hex) of family, config, preprocessing and every parameter."""
    described = {field: record[field] for field in ("family", "config", "preprocessing")}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for path, leaf in sorted(traverse_util.flatten_dict(params, sep="/").items()):
        digest.update(f"{path} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).view(np.uint8).data)
    return digest.hexdigest()


def _spec(stored: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(stored.shape, stored.dtype)
