"""Random parameters for a layout: for benchmarks and tests of layouts, not for training."""

import zlib
from typing import Any

import jax
import numpy as np

_PERIOD = 1_000_003  # prime, so that no two rows of a kernel are equal


def random_params(abstract: Any, *, seed: int = 0) -> Any:
    """Normal values for a tree of ShapeDtypeStructs, of the size trained weights have.

    Kernels and embeddings have standard deviation 1 / √fan_in (the product of all axes but the last), norm
    scales are one, every other leaf (biases, positions) has standard deviation 0.02. A leaf depends on `seed`
    and its path only; to be quick, its values repeat after the first million. It is put straight where the
    struct's `sharding` says, by default on the first device.
    """
    return jax.tree_util.tree_map_with_path(lambda path, leaf: _leaf(path, leaf, seed), abstract)


def _leaf(path: tuple, leaf: jax.ShapeDtypeStruct, seed: int) -> jax.Array:
    *_, name = (entry.key for entry in path)
    if name == "scale":
        return jax.device_put(np.ones(leaf.shape, leaf.dtype), leaf.sharding)
    generator = np.random.default_rng([seed, zlib.crc32(jax.tree_util.keystr(path).encode())])
    values = generator.standard_normal(min(leaf.size, _PERIOD), np.float32)
    fan_in = leaf.size // leaf.shape[-1] if name == "kernel" else leaf.shape[-1]
    values *= fan_in**-0.5 if name in ("kernel", "embedding") else 0.02
    return jax.device_put(np.resize(values, leaf.shape).astype(leaf.dtype), leaf.sharding)
