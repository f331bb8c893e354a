"""What measurements of a target depend on, in the words of their requests; all JSON-able."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jaxaudit.seals import arrays_sha256
from jaxaudit.targets import Target


def target_request(target: Target) -> dict[str, Any]:
    """The target: what it is and which weights, not where it lies or what it is called.

    A target that was not loaded, and so has no fingerprint, is known by the hash of its weights.
    """
    return {
        "family": target.family,
        "fingerprint": target.provenance.get("fingerprint") or _weights_sha256(target),
        "num_params": target.num_params,
        "num_classes": target.num_classes,
    }


def _weights_sha256(target: Target) -> str:
    leaves = traverse_util.flatten_dict(target.params, sep="/")
    return arrays_sha256({path: np.asarray(leaf) for path, leaf in leaves.items()}, of="weights")


def measurement_request(target: Target, seed: int) -> dict[str, Any]:
    """What every number depends on that is measured on pictures, beside the pictures (`Pictures.request`)."""
    return {
        "target": target_request(target),
        "precision": precision(target),
        "preprocessing": dataclasses.asdict(target.preprocessing),
        "seed": seed,
    }


def null_request(null: np.ndarray | None) -> dict[str, Any]:
    """What models that hear captions are told in place of one: an embedding; None for others."""
    return {"null_condition_sha256": None if null is None else hashlib.sha256(null.tobytes()).hexdigest()}


def precision(target: Target) -> str:
    """The dtype its parameters are in, and it computes in; float32 without floating parameters."""
    leaves = jax.tree.leaves(target.params)
    floating = (str(leaf.dtype) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))
    return next(floating, "float32")
