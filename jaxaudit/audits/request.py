"""What every measurement of a target depends on, as requests name it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaudit.targets import Target


def target_request(target: Target) -> dict[str, Any]:
    """The target, JSON-able: what it is and which weights, not where it lies or what it is called."""
    return {
        "family": target.family,
        "fingerprint": target.provenance.get("fingerprint"),
        "num_params": target.num_params,
        "num_classes": target.num_classes,
    }


def precision(target: Target) -> str:
    """The dtype its parameters are in, and it computes in; float32 without floating parameters."""
    leaves = jax.tree.leaves(target.params)
    floating = (str(leaf.dtype) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))
    return next(floating, "float32")
