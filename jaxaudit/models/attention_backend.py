"""What computes the attention of a network, and which of these a platform has.

xla       products and a softmax in memory; on every platform, and the reference for the others
cudnn     the flash attention of NVIDIA's library: bfloat16, head widths in steps of 8
pallas    the kernel of `jaxaudit_kernels.fused_attention`: TPUs
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxaudit.errors import InputError

AttentionBackend = Literal["xla", "cudnn", "pallas"]
"""What computes attention."""

AttentionChoice = Literal["auto", "xla", "cudnn", "pallas"]
"""What may be asked for; "auto" is the fused one that the platform has, where it can be used."""

_FUSED: dict[str, AttentionBackend] = {"gpu": "cudnn", "tpu": "pallas"}


def choose_backend(
    choice: AttentionChoice, *, platform: str, dtype: DTypeLike, head_width: int
) -> AttentionBackend:
    """The backend for heads of this width, computed in `dtype` on this platform.

    Args:
      choice: "auto", or the one that must be used.
      platform: that is compiled for, "cpu", "gpu" or "tpu".
      dtype: of queries, keys and values.
      head_width: channels of a head.

    Raises:
      InputError: if the one asked for cannot be used there.
    """
    wanted = _FUSED.get(platform, "xla") if choice == "auto" else choice
    obstacle = _obstacle(wanted, platform, dtype, head_width)
    if obstacle is None:
        return wanted
    if choice == "auto":
        return "xla"
    raise InputError(f"attention={choice!r}: {obstacle}; use 'auto' or 'xla'.")


def narrow_enough(backend: AttentionBackend, *, dtype: DTypeLike, head_width: int) -> AttentionBackend:
    """The backend chosen for a network, or XLA where that one refuses heads of this width.

    For networks whose levels have heads of different widths: each level takes what it can.
    """
    refused = backend == "cudnn" and _cudnn_obstacle(jnp.dtype(dtype), head_width)
    return "xla" if refused else backend


def _obstacle(backend: AttentionBackend, platform: str, dtype: DTypeLike, head_width: int) -> str | None:
    """Why a backend cannot be used; None if it can."""
    if backend not in ("xla", _FUSED.get(platform)):
        return f"there is none on a {platform}"
    return _cudnn_obstacle(jnp.dtype(dtype), head_width) if backend == "cudnn" else None


def check_pieces(choice: AttentionChoice, pieces: int) -> None:
    """Raises InputError if a kernel is asked for where the compiler splits the network over devices.

    Args:
      choice: what is asked for.
      pieces: into how many; 1: it does not.
    """
    if pieces > 1 and choice not in ("auto", "xla"):
        raise InputError(
            f"attention={choice!r}: there is none where parameters are split over {pieces} devices; use "
            "'auto' or 'xla'."
        )


@functools.cache
def _cudnn_obstacle(dtype: np.dtype, head_width: int) -> str | None:
    """Why cuDNN refuses such heads; None if it takes them. JAX knows what the installed one takes."""
    heads = jax.ShapeDtypeStruct((1, 1, 1, head_width), dtype)
    try:
        jax.eval_shape(
            functools.partial(jax.nn.dot_product_attention, implementation="cudnn"), heads, heads, heads
        )
    except (RuntimeError, NotImplementedError) as error:
        return f"{dtype.name} heads of width {head_width} are refused ({str(error).rstrip('.')})"
    return None
