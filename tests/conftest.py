"""Strict JAX for every test: 8 simulated devices, no rank promotion, float32 matmuls, checked shapes.

The import hook has beartype check every shape and dtype that a signature of ours states, at each call and,
in traced functions, at each trace. So nothing of ours may be imported above it.
"""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jaxtyping
import pytest

import tests.shapes

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "float32")

if os.environ.get("SHAPES") == "1":  # on request until every room passes
    jaxtyping.install_import_hook(
        ["jaxaudit", "jaxaudit_kernels", "checkpoints_convert"], f"{tests.shapes.__name__}.check"
    )


@pytest.fixture
def unchecked(monkeypatch):
    """The hook off, for tests of what functions themselves say to shapes and types that do not fit."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
