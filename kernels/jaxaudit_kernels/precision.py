"""The one rule for matrix-product precision: float32 means float32, on every platform.

Accelerators otherwise round float32 operands to bfloat16 or TF32, which changes tokens and ranks.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def matmul_precision(dtype: DTypeLike) -> jax.lax.Precision:
    """The precision of products whose operands have `dtype`: exact for float32, the platform's own below."""
    return jax.lax.Precision.HIGHEST if jnp.dtype(dtype) == jnp.float32 else jax.lax.Precision.DEFAULT
